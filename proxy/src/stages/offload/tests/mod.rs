//! The stage as a whole, against real directories.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

mod coding;
mod containment;
mod names;
mod paths;
mod reading;
mod replies;

/// A root `www` with a secret beside it.
struct Site {
    base: TempDir,
    root: Arc<Root>,
}

impl Site {
    fn new(files: &[(&str, &str)]) -> Self {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("www")).unwrap();
        fs::create_dir(base.path().join("outside")).unwrap();
        fs::write(base.path().join("outside/secret.txt"), "SECRET").unwrap();
        let index = ["index.php".to_owned(), "index.html".to_owned()];
        let root = Arc::new(Root::open(&base.path().join("www"), &index, false).unwrap());
        let site = Self { base, root };
        for (path, content) in files {
            site.write(path, content);
        }
        site
    }

    fn path(&self, path: &str) -> PathBuf {
        self.base.path().join("www").join(path)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    async fn ask(&self, method: Method, path: &str, fields: &[(&'static str, &str)], static_only: bool) -> Offload {
        let mut request = HeaderMap::new();
        for (name, value) in fields {
            request.append(*name, HeaderValue::from_str(value).unwrap());
        }
        offload(&self.root, &method, path.as_bytes(), &request, static_only).await
    }

    async fn get(&self, path: &str) -> Offload {
        self.ask(Method::GET, path, &[], false).await
    }

    /// The answer to a GET that must have one.
    async fn answer(&self, path: &str, fields: &[(&'static str, &str)]) -> Answered {
        self.answer_to(Method::GET, path, fields).await
    }

    async fn answer_to(&self, method: Method, path: &str, fields: &[(&'static str, &str)]) -> Answered {
        match self.ask(method, path, fields, false).await {
            Offload::Answer(answer) => read(answer).await,
            other => panic!("no answer for {path}: {other:?}"),
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answered {
    status: u16,
    fields: HeaderMap,
    length: u64,
    content: String,
}

impl Answered {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("-", |value| value.to_str().unwrap())
    }
}

async fn read(mut answer: FileAnswer) -> Answered {
    let mut content = Vec::new();
    while let Some(chunk) = answer.body.next().await.unwrap() {
        assert!(!chunk.is_empty() && chunk.len() <= 256 * 1024);
        content.extend_from_slice(&chunk);
    }
    assert_eq!(answer.body.remaining(), 0);
    let content = String::from_utf8(content).unwrap();
    Answered { status: answer.status.as_u16(), fields: answer.fields, length: answer.length, content }
}

/// The status, or 0 for `NotMine`.
fn outcome(offload: &Offload) -> u16 {
    match offload {
        Offload::NotMine => 0,
        Offload::Answer(answer) => answer.status.as_u16(),
        Offload::Refused(status) => status.as_u16(),
    }
}
