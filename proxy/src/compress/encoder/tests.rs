use std::io::{Read as _, Write as _};
use std::time::Instant;

use super::*;

const CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

fn decode(coding: Coding, coded: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    match coding {
        Coding::Gzip => flate2::read::GzDecoder::new(coded).read_to_end(&mut content),
        Coding::Brotli => brotli::Decompressor::new(coded, 4096).read_to_end(&mut content),
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(coded)?;
            // RFC 9659: no decoder of the content coding need take more than 8 MiB.
            decoder.window_log_max(23)?;
            decoder.read_to_end(&mut content)
        }
    }?;
    Ok(content)
}

/// Text that repeats itself about as much as a page does.
fn page(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut page = Vec::with_capacity(length + 128);
    while page.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = state >> 40;
        let _ = writeln!(
            page,
            "<li class=\"post type-{} tag-{}\"><a href=\"/archive/{n:x}/\">Entry {n}</a></li>",
            n % 7,
            n % 31
        );
    }
    page.truncate(length);
    page
}

fn stream(coding: Coding, quality: Quality, length: Option<u64>, content: &[u8], chunk: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(coding, quality, length).unwrap();
    let mut coded = Vec::new();
    for chunk in content.chunks(chunk) {
        coded.extend_from_slice(&encoder.write(chunk).unwrap());
    }
    coded.extend_from_slice(&encoder.finish().unwrap());
    coded
}

#[test]
fn every_coding_quality_and_size_comes_back_the_same() {
    for coding in CODINGS {
        for quality in [Quality::Fly, Quality::Store] {
            for length in [0, 1, 1024, 65_537, 1 << 20] {
                let content = page(length);
                let coded = encode_all(coding, quality, &content).unwrap();
                assert_eq!(decode(coding, &coded).unwrap(), content, "{coding:?} {quality:?} {length}");
                assert!(length < 1024 || coded.len() < length / 2, "{coding:?} {quality:?} {length}: {}", coded.len());
            }
        }
    }
}

#[test]
fn chunking_and_an_unknown_length_make_no_difference_to_the_content() {
    for coding in CODINGS {
        for chunk in [1, 7, 4093, 100_000] {
            let content = page(if chunk < 100 { 5_000 } else { 300_001 });
            let known = u64::try_from(content.len()).ok();
            for length in [None, known] {
                let coded = stream(coding, Quality::Fly, length, &content, chunk);
                assert_eq!(decode(coding, &coded).unwrap(), content, "{coding:?} {chunk} {length:?}");
            }
        }
    }
}

#[test]
fn content_that_does_not_shrink_comes_back_the_same() {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(200_000)
    .collect();
    for coding in CODINGS {
        let coded = encode_all(coding, Quality::Store, &noise).unwrap();
        assert_eq!(decode(coding, &coded).unwrap(), noise);
        assert!(coded.len() < noise.len() + 1024, "{coding:?} {}", coded.len());
    }
}

#[test]
fn flush_gives_out_everything_written_so_far() {
    for coding in CODINGS {
        let mut encoder = Encoder::new(coding, Quality::Fly, None).unwrap();
        let mut coded = Vec::new();
        for part in ["<html>first", " second", " third"] {
            coded.extend_from_slice(&encoder.write(part.as_bytes()).unwrap());
            coded.extend_from_slice(&encoder.flush().unwrap());
            // The stream has no end yet, so the decoder fails, but not before it gave out what there is.
            let mut decoded = Vec::new();
            let mut byte = [0];
            let mut decoder: Box<dyn io::Read> = match coding {
                Coding::Gzip => Box::new(flate2::read::GzDecoder::new(&*coded)),
                Coding::Brotli => Box::new(brotli::Decompressor::new(&*coded, 64)),
                Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(&*coded).unwrap()),
            };
            while let Ok(1) = decoder.read(&mut byte) {
                decoded.push(byte[0]);
            }
            assert!(decoded.ends_with(part.as_bytes()), "{coding:?} {:?}", String::from_utf8_lossy(&decoded));
        }
    }
}

#[test]
fn content_that_was_not_finished_does_not_pass_for_whole() {
    let content = page(100_000);
    for coding in CODINGS {
        let mut encoder = Encoder::new(coding, Quality::Fly, None).unwrap();
        let mut coded = encoder.write(&content).unwrap().to_vec();
        coded.extend_from_slice(&encoder.flush().unwrap());
        drop(encoder);
        assert!(decode(coding, &coded).is_err(), "{coding:?}");
    }
}

#[test]
fn rfc8878_3_1_1_1_4_content_that_breaks_its_announced_length_is_an_error() {
    let short = |written: &[u8]| {
        let mut encoder = Encoder::new(Coding::Zstd, Quality::Fly, Some(10))?;
        encoder.write(written)?;
        encoder.finish()
    };
    assert!(short(b"123456789").is_err());
    assert!(short(b"12345678901").is_err());
    assert!(short(b"1234567890").is_ok());
}

#[test]
fn the_window_of_brotli_follows_the_length() {
    assert_eq!(window_bits(None), 22);
    assert_eq!(window_bits(Some(0)), 18, "16 and less are slow");
    assert_eq!(window_bits(Some(262_143)), 18);
    assert_eq!(window_bits(Some(262_144)), 19);
    assert_eq!(window_bits(Some(u64::MAX)), 22);
}

/// Prints ratio and speed of each level for the files named in `FOREBAY_CORPUS` (blank-separated), each coded by itself.
#[test]
#[ignore = "a measurement; run it with --release --run-ignored=only --no-capture"]
fn measure_levels() {
    let files = std::env::var("FOREBAY_CORPUS").unwrap_or_default();
    let mut corpus: Vec<Vec<u8>> = files.split_ascii_whitespace().map(|file| std::fs::read(file).unwrap()).collect();
    if corpus.is_empty() {
        corpus = vec![page(60_000)];
    }
    let total: usize = corpus.iter().map(Vec::len).sum();
    println!("{} files, {total} bytes", corpus.len());
    for (coding, levels) in [
        (Coding::Gzip, &[1, 2, 3, 4, 5, 6, 9][..]),
        (Coding::Brotli, &[1, 2, 3, 4, 5, 6, 7, 9, 11]),
        (Coding::Zstd, &[1, 3, 5, 6, 9, 12, 15, 19]),
    ] {
        for level in levels {
            let (mut coded, mut rounds) = (0, 0_u32);
            let start = Instant::now();
            while rounds == 0 || start.elapsed().as_millis() < 1000 {
                coded = 0;
                for content in &corpus {
                    let mut encoder = Encoder::with_level(coding, *level, u64::try_from(content.len()).ok()).unwrap();
                    coded += encoder.write(content).unwrap().len() + encoder.finish().unwrap().len();
                }
                rounds += 1;
            }
            let seconds = start.elapsed().as_secs_f64() / f64::from(rounds);
            let (total, coded) = (f64::from(u32::try_from(total).unwrap()), f64::from(u32::try_from(coded).unwrap()));
            println!("{coding:?} {level:2}: {:5.2} % {:7.1} MB/s", 100.0 * coded / total, total / seconds / 1e6);
            assert!(coded < total);
        }
    }
}
