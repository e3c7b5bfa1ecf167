//! What all servers are given: the same content, the same certificate, the same files.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::origin::Origin;

/// Bytes.
pub const KIB: usize = 1024;

/// Entity tag of everything that is stored.
pub const ETAG: &str = "\"5f3c-61a9c7\"";

/// A page that compresses well.
pub const PAGE: &str = "/page.html";

/// The host beneath which files are served from a directory; every other name is proxied.
pub const FILES_HOST: &str = "files.test";

/// What is there once for all servers.
#[derive(Debug)]
pub struct Setting {
    /// What is proxied.
    pub origin: Origin,
    /// Certificate, P-256, PEM.
    pub certificate: PathBuf,
    /// Its key, PKCS#8, PEM.
    pub key: PathBuf,
    /// Both in one file, as HAProxy wants it.
    pub certificate_and_key: PathBuf,
    /// Directory of `4k.bin`, `1m.bin` and copies of two of the origin server's.
    pub root: PathBuf,
    /// Where each server gets a directory of its own.
    pub directory: PathBuf,
}

impl Setting {
    /// Prepares everything beneath `directory` and starts the origin server.
    ///
    /// # Errors
    ///
    /// Files or sockets cannot be made.
    pub fn prepare(directory: &Path) -> Result<Self> {
        let path = |name: &str| directory.join(name);
        // Servers that give up root must still find what they serve.
        fs::set_permissions(directory, Permissions::from_mode(0o755))?;
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), FILES_HOST.to_owned()];
        let certificate = rcgen::CertificateParams::new(names)?.self_signed(&key)?;
        fs::write(path("site.pem"), certificate.pem())?;
        fs::write(path("site.key"), key.serialize_pem())?;
        fs::write(path("both.pem"), certificate.pem() + &key.serialize_pem())?;
        let root = path("root");
        fs::create_dir(&root)?;
        fs::write(root.join("4k.bin"), content(4 * KIB))?;
        // For those who serve files alone.
        fs::write(root.join("1k.png"), content(KIB))?;
        fs::write(root.join("64k.png"), content(64 * KIB))?;
        fs::write(root.join("1m.bin"), content(KIB * KIB))?;
        Ok(Self {
            origin: Origin::start()?,
            certificate: path("site.pem"),
            key: path("site.key"),
            certificate_and_key: path("both.pem"),
            root,
            directory: directory.to_owned(),
        })
    }
}

/// `size` bytes that do not compress.
#[must_use]
pub fn content(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(size);
    bytes
}

/// An HTML page of about 5 KiB, of which gzip makes about 1 KiB.
#[must_use]
pub fn page() -> String {
    let mut page = String::from("<!doctype html>\n<title>Entries</title>\n<ul>\n");
    for (index, pair) in content(2 * 60).chunks(2).enumerate() {
        let number = pair.iter().fold(index, |sum, byte| sum * 256 + usize::from(*byte));
        let _ =
            writeln!(page, "<li class=\"entry\"><a href=\"/archive/{number}\" rel=\"bookmark\">Entry {index}</a></li>");
    }
    page + "</ul>\n"
}

/// A loopback address whose port nobody uses now.
///
/// # Errors
///
/// None is left.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_size_asked_for_and_differs_within() {
        let bytes = content(1001);
        assert_eq!(bytes.len(), 1001);
        assert_ne!(bytes[..8], bytes[8..16]);
    }

    #[test]
    fn the_page_is_worth_compressing() {
        assert!(page().len() > 4 * KIB, "{}", page().len());
    }
}
