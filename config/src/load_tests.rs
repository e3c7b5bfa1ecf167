//! Files that cannot be read as text at all.

use super::*;

#[test]
fn a_file_that_is_not_there_is_one_mistake_without_position() {
    let directory = tempfile::tempdir().unwrap();
    let report = load(&directory.path().join("no.toml")).unwrap_err();
    assert_eq!(report.mistakes.len(), 1);
    assert_eq!(report.mistakes[0].line, 0);
    assert!(report.to_string().contains("no.toml: cannot be read: "), "{report}");
}

#[test]
fn a_directory_is_one_mistake_without_position() {
    let directory = tempfile::tempdir().unwrap();
    let report = load(directory.path()).unwrap_err();
    assert!(report.mistakes[0].message.starts_with("cannot be read"), "{report}");
}

#[test]
fn a_byte_that_is_not_utf_8_is_named_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("latin1.toml");
    std::fs::write(&path, b"# caf\xe9\n").unwrap();
    let report = load(&path).unwrap_err();
    assert_eq!((report.mistakes[0].line, report.mistakes[0].column), (1, 6));
    assert_eq!(report.mistakes[0].message, "this byte is not UTF-8");
}

#[test]
fn an_endless_file_is_not_read_to_its_end() {
    let report = load(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(report.mistakes[0].message, "is larger than 16 MiB");
}

#[test]
fn a_file_that_is_right_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("forebay.toml");
    let text = "[[listen]]\naddress = '127.0.0.1:8080'\n[[site]]\nhosts = ['*']\nroot = '/tmp'\n";
    std::fs::write(&path, text).unwrap();
    assert_eq!(load(&path).unwrap().sites.len(), 1);
}

#[test]
fn a_host_name_that_does_not_resolve_is_a_mistake_with_the_reason() {
    let text = "[[upstream]]\nname = 'ap'\nservers = ['ap.example:80']\n";
    let report = parse_with(text, "f.toml", |_, _| Err(std::io::Error::other("no such name"))).unwrap_err();
    let mistake = report.mistakes.iter().find(|mistake| mistake.line == 3).unwrap();
    assert_eq!(mistake.message, "the host \"ap.example\" does not resolve: no such name");
    assert_eq!(mistake.text, "'ap.example:80'");
}

#[test]
fn every_address_of_a_host_name_is_kept_once() {
    let text = "[[listen]]\naddress = '127.0.0.1:0'\n[[site]]\nhosts = ['*']\nupstream = 'ap'\n\
                [[upstream]]\nname = 'ap'\nservers = ['ap.example:80']\n";
    let two = |_: &str, port| {
        let address = |last| std::net::SocketAddr::from(([192, 0, 2, last], port));
        Ok(vec![address(1), address(2), address(1)])
    };
    let config = parse_with(text, "f.toml", two).unwrap();
    assert_eq!(config.upstreams[0].servers[0].resolved.len(), 2);
}
