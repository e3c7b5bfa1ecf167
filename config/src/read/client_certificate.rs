//! `client_ca`, `client_crl` and `client_certificate`: certificates of visitors.

use std::path::PathBuf;

use crate::check::certificate;
use crate::model::{ClientCertificate, Site};
use crate::table::{Item, Table};
use crate::values::{choice, path};

/// The words of `client_certificate`: whether one is required.
pub(crate) const CLIENT_CERTIFICATE: [(&str, bool); 2] = [("required", true), ("optional", false)];

/// Those of a site.
pub(super) fn read(table: &mut Table<'_, '_>) -> Option<ClientCertificate> {
    let reading = table.reading;
    let ca = table.take("client_ca");
    let crl = table.take("client_crl");
    let mode = table.take("client_certificate");
    let Some(ca) = ca else {
        for item in [crl, mode].into_iter().flatten() {
            let hint = "say who signs the certificates: client_ca = \"/etc/forebay/clients.pem\"";
            reading.misfit(&item.key, format!("`{}` without `client_ca`", item.word), hint);
        }
        return None;
    };
    let required = mode.is_none_or(|item| required(&item).unwrap_or(true));
    let authorities = file(&ca, "/etc/forebay/clients.pem");
    let crl_path = crl.as_ref().map(|item| file(item, "/etc/forebay/clients.crl"));
    let found = ClientCertificate { ca: authorities?, crl: crl_path.flatten(), required };
    if let Err(wrong) = certificate::authorities(&found.ca) {
        ca.wrong(wrong);
    } else if let Err(wrong) = certificate::of_clients(&found) {
        // The authorities are good: it is the list.
        crl.as_ref().unwrap_or(&ca).wrong(wrong);
    }
    Some(found)
}

/// That of a route.
pub(super) fn of_route(table: &mut Table<'_, '_>, site: &Site) -> Option<bool> {
    let item = table.take("client_certificate")?;
    let Some(words) = &site.client_certificate else {
        let hint = "give the site a client_ca: who has no certificate could not be told from who has one";
        item.reading.misfit(&item.key, "`client_certificate` in a site without `client_ca`", hint);
        return None;
    };
    let required = required(&item)?;
    if words.required && !required {
        let hint = "write client_certificate = \"optional\" in the site and \"required\" in the routes that need it";
        item.reading.misfit(&item.key, "the site requires a certificate before it knows the path", hint);
        return None;
    }
    Some(required)
}

fn required(item: &Item<'_, '_>) -> Option<bool> {
    item.parsed("required", |text| choice::parse(text, &CLIENT_CERTIFICATE)).map(|found| found.value)
}

fn file(item: &Item<'_, '_>, example: &str) -> Option<PathBuf> {
    item.parsed(example, path::file).map(|found| found.value)
}
