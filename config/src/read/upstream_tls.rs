//! `tls = true` or `tls = { … }` of `[[upstream]]`

use crate::check::certificate;
use crate::model::{CertificateFiles, UpstreamTls};
use crate::reading::Located;
use crate::table::{Item, Table};
use crate::values::{Wrong, address, path, quoted};

pub(super) fn read(item: Item<'_, '_>) -> Option<UpstreamTls> {
    if !item.is_table() {
        let plain = UpstreamTls { server_name: None, ca: None, client: None, verify: true };
        return item.boolean()?.then_some(plain);
    }
    let mut table = item.table("{ ca = \"/etc/forebay/ca.pem\" }")?;
    let server_name =
        table.take("server_name").and_then(|item| item.parsed("ap.internal", name)).map(|found| found.value);
    let ca = table.take("ca").and_then(|item| {
        let file = item.parsed("/etc/forebay/ca.pem", path::file)?;
        certificate::chain(&file.value).map_err(|wrong| item.wrong(wrong)).ok()?;
        Some(file.value)
    });
    let client = client(&mut table);
    let verify = table.take("verify").and_then(|item| item.boolean()).unwrap_or(true);
    table.finish();
    Some(UpstreamTls { server_name, ca, client, verify })
}

fn name(text: &str) -> Result<String, Wrong> {
    if address::is_host_name(text) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{} is not a host name", quoted(text)), "write the name in the server's certificate"))
}

/// `certificate` and `key`: both or neither, and they belong together.
fn client(table: &mut Table<'_, '_>) -> Option<CertificateFiles> {
    let reading = table.reading;
    let (certificate, key) = match (table.take("certificate"), table.take("key")) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(item), None) | (None, Some(item)) => {
            reading.misfit(&item.key, "`certificate` and `key` belong together", "give both, or neither");
            return None;
        }
    };
    let parsed = |item: &Item<'_, '_>, example| item.parsed(example, path::file).map(|Located { value, .. }| value);
    let (chain_path, key_path) = (parsed(&certificate, "/etc/forebay/me.pem"), parsed(&key, "/etc/forebay/me.key"));
    let chain = chain_path.as_ref().and_then(|path| certificate::chain(path).map_err(|w| certificate.wrong(w)).ok());
    let signer = key_path.as_ref().and_then(|path| certificate::key(path).map_err(|wrong| key.wrong(wrong)).ok());
    if let (Some(chain), Some(signer)) = (chain, signer)
        && let Err(wrong) = certificate::belong_together(chain, signer)
    {
        key.wrong(wrong);
    }
    Some(CertificateFiles { certificate: chain_path?, key: key_path? })
}
