//! Encoders, one shape for all codings: bytes in, coded bytes out.

use std::io::{self, Write as _};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use bytes::buf::Writer;
use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::write::GzEncoder;
use forebay_cache::semantics::coding::Coding;

/// How much time a response is worth.
///
/// Measured (`measure_levels` below: one core of an EPYC, 40 HTML pages of 20 to 150 KB and 40 style sheets, each coded by
/// itself; remaining size and speed):
///
/// | | gzip 3 | gzip 6 | br 3 | br 4 | br 6 | br 9 | zstd 3 | zstd 9 | zstd 15 |
/// |---|---|---|---|---|---|---|---|---|---|
/// | HTML, % | 24.8 | 23.8 | 24.9 | 23.5 | 22.1 | 21.9 | 25.3 | 23.3 | 22.6 |
/// | HTML, MB/s | 204 | 130 | 136 | 80 | 56 | 3.6 | 466 | 105 | 16 |
/// | CSS, % | 27.1 | 25.2 | 27.3 | 25.8 | 23.4 | 23.0 | 27.4 | 24.9 | 24.1 |
/// | CSS, MB/s | 252 | 134 | 137 | 70 | 53 | 3.2 | 407 | 66 | 12 |
///
/// What is kept gets the last level before speed falls off a cliff; what is not gets the one after which a third more time
/// buys less than a tenth in size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quality {
    /// Coded for one client, who waits for it.
    Fly,
    /// Coded once, kept, and served many times.
    Store,
}

impl Quality {
    fn level(self, coding: Coding) -> i32 {
        match (self, coding) {
            (Self::Store, Coding::Gzip) => 6,
            (Self::Store, Coding::Brotli) => 6,
            (Self::Store, Coding::Zstd) => 9,
            (Self::Fly, Coding::Gzip) => 3,
            (Self::Fly, Coding::Brotli) => 3,
            (Self::Fly, Coding::Zstd) => 3,
        }
    }
}

/// A stream of content being coded.
pub(crate) struct Encoder(Inner);

type Sink = Writer<BytesMut>;

enum Inner {
    Gzip(GzEncoder<Sink>),
    // Boxed: its state is kilobytes inline.
    Brotli(Box<CompressorWriter<Sink>>),
    Zstd(zstd::stream::write::Encoder<'static, Sink>),
}

impl Encoder {
    /// An encoder for content of `length` bytes, or of unknown length. A length that is known makes for smaller buffers and
    /// faster work, and is taken at its word: for zstd it stands in the frame header (RFC 8878 section 3.1.1.1.4).
    ///
    /// # Errors
    /// When memory for the encoder cannot be had.
    pub(crate) fn new(coding: Coding, quality: Quality, length: Option<u64>) -> io::Result<Self> {
        Self::with_level(coding, quality.level(coding), length)
    }

    fn with_level(coding: Coding, level: i32, length: Option<u64>) -> io::Result<Self> {
        let sink = BytesMut::new().writer();
        Ok(Self(match coding {
            Coding::Gzip => {
                Inner::Gzip(GzEncoder::new(sink, flate2::Compression::new(u32::try_from(level).unwrap_or(6))))
            }
            Coding::Brotli => {
                let params = BrotliEncoderParams {
                    quality: level,
                    lgwin: window_bits(length),
                    size_hint: length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0),
                    ..Default::default()
                };
                Inner::Brotli(Box::new(CompressorWriter::with_params(sink, 4096, &params)))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(sink, level)?;
                encoder.set_pledged_src_size(length)?;
                Inner::Zstd(encoder)
            }
        }))
    }

    /// Takes content in; gives out what is coded so far, often nothing.
    ///
    /// # Errors
    /// When the content is longer than announced (zstd).
    pub(crate) fn write(&mut self, content: &[u8]) -> io::Result<Bytes> {
        match &mut self.0 {
            Inner::Gzip(encoder) => encoder.write_all(content),
            Inner::Brotli(encoder) => encoder.write_all(content),
            Inner::Zstd(encoder) => encoder.write_all(content),
        }?;
        Ok(self.take())
    }

    /// Gives out everything needed to decode what was written so far. Costs a few bytes each time.
    ///
    /// # Errors
    /// None in practice.
    pub(crate) fn flush(&mut self) -> io::Result<Bytes> {
        match &mut self.0 {
            Inner::Gzip(encoder) => encoder.flush(),
            Inner::Brotli(encoder) => encoder.flush(),
            Inner::Zstd(encoder) => encoder.flush(),
        }?;
        Ok(self.take())
    }

    /// Ends the stream and gives out the rest. Without it the content is cut short, and decoders say so: an aborted
    /// response is dropped, never finished.
    ///
    /// # Errors
    /// When the content is shorter than announced (zstd).
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        let sink = match self.0 {
            Inner::Gzip(encoder) => encoder.finish()?,
            Inner::Brotli(encoder) => encoder.into_inner(),
            Inner::Zstd(encoder) => encoder.finish()?,
        };
        Ok(sink.into_inner().freeze())
    }

    fn take(&mut self) -> Bytes {
        let sink = match &mut self.0 {
            Inner::Gzip(encoder) => encoder.get_mut(),
            Inner::Brotli(encoder) => encoder.get_mut(),
            Inner::Zstd(encoder) => encoder.get_mut(),
        };
        sink.get_mut().split().freeze()
    }
}

/// Codes content that is all there.
///
/// # Errors
/// When memory for the encoder cannot be had.
pub(crate) fn encode_all(coding: Coding, quality: Quality, content: &[u8]) -> io::Result<Bytes> {
    let mut encoder = Encoder::new(coding, quality, u64::try_from(content.len()).ok())?;
    let first = encoder.write(content)?;
    let rest = encoder.finish()?;
    if first.is_empty() {
        return Ok(rest);
    }
    let mut all = BytesMut::with_capacity(first.len() + rest.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(&rest);
    Ok(all.freeze())
}

/// Brotli's window as a power of two: as large as the content, from 256 KiB to 4 MiB. An encoder's memory goes with it.
///
/// Never 64 KiB or less: for these the encoder takes another way of finding matches from quality 5 on, which was measured to
/// take 9 ms for a page of 30 KB instead of 0.4, for a worse result.
fn window_bits(length: Option<u64>) -> i32 {
    let Some(length) = length else { return 22 };
    let bits = u64::BITS - length.leading_zeros();
    i32::try_from(bits).unwrap_or(22).clamp(18, 22)
}

#[cfg(test)]
mod tests;
