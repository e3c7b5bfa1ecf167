//! Nothing outside the root, and nothing but regular files within it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, RenameFlags, mkfifoat, renameat_with};

use super::*;

#[tokio::test]
async fn links_that_leave_the_root_are_404() {
    let site = Site::new(&[("a.css", "inside")]);
    symlink("../outside/secret.txt", site.path("relative.txt")).unwrap();
    symlink(site.base.path().join("outside/secret.txt"), site.path("absolute.txt")).unwrap();
    symlink("../outside", site.path("directory")).unwrap();
    symlink("/proc/self/root/etc/passwd", site.path("magic.txt")).unwrap();
    // Absolute, though it leads back beneath the root: the kernel does not walk out and in again.
    symlink(site.path("a.css"), site.path("back.css")).unwrap();
    symlink("loop.css", site.path("loop.css")).unwrap();
    for path in ["/relative.txt", "/absolute.txt", "/directory/secret.txt", "/magic.txt", "/back.css", "/loop.css"] {
        assert_eq!(outcome(&site.get(path).await), 404, "{path}");
    }
}

#[tokio::test]
async fn links_that_stay_beneath_the_root_are_followed() {
    let site = Site::new(&[("a/b.css", "inside")]);
    symlink("a/b.css", site.path("c.css")).unwrap();
    symlink("../a", site.path("a/up")).unwrap();
    assert_eq!(site.answer("/c.css", &[]).await.content, "inside");
    assert_eq!(site.answer("/a/up/b.css", &[]).await.content, "inside");
}

#[tokio::test]
async fn broken_link_is_missing() {
    let site = Site::new(&[]);
    symlink("absent.css", site.path("a.css")).unwrap();
    assert_eq!(outcome(&site.get("/a.css").await), 0);
}

#[tokio::test]
async fn fifo_socket_and_device_are_404_at_once() {
    let site = Site::new(&[]);
    mkfifoat(CWD, site.path("fifo.css"), Mode::RUSR | Mode::WUSR).unwrap();
    let _listener = UnixListener::bind(site.path("socket.css")).unwrap();
    // Only root can make a device node; elsewhere the other two show the rule.
    let device = rustix::fs::makedev(1, 5);
    let _made =
        rustix::fs::mknodat(CWD, site.path("zero.css"), rustix::fs::FileType::CharacterDevice, Mode::RUSR, device);
    assert_eq!(outcome(&site.get("/fifo.css").await), 404);
    assert_eq!(outcome(&site.get("/socket.css").await), 404);
    assert_ne!(outcome(&site.get("/zero.css").await), 200);
}

/// Runs without the rights of root, which may read everything.
#[test]
fn unreadable_file_is_404() {
    let site = Site::new(&[("a.css", "inside"), ("b.css", "inside"), ("c/d.css", "inside")]);
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(site.path("a.css"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(site.path("b.css"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(site.path("c"), fs::Permissions::from_mode(0o600)).unwrap();
    let asked = std::thread::scope(|scope| {
        let unprivileged = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut outcomes = Vec::new();
                for path in ["/a.css", "/b.css", "/c/d.css"] {
                    outcomes.push(outcome(&site.get(path).await));
                }
                outcomes
            })
        });
        unprivileged.join().unwrap()
    });
    fs::set_permissions(site.path("c"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(asked[0], 404);
    assert_eq!(asked[1], 200);
    assert_ne!(asked[2], 200);
}

#[test]
fn directory_swapped_for_a_link_while_asked_never_leaks() {
    let site = Site::new(&[("area/secret.txt", "inside")]);
    symlink("../outside", site.path("other")).unwrap();
    let done = AtomicBool::new(false);
    let swap = || renameat_with(CWD, site.path("area"), CWD, site.path("other"), RenameFlags::EXCHANGE).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut served, mut refused) = (0_u32, 0_u32);
    let mut unexpected = None;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                swap();
            }
        });
        runtime.block_on(async {
            // Five thousand requests, more only until both states were met.
            for asked in 0..500_000 {
                if unexpected.is_some() || (asked >= 5_000 && served > 0 && refused > 0) {
                    break;
                }
                // No assertion here: the swapping thread would never end.
                match site.get("/area/secret.txt").await {
                    Offload::Answer(mut answer) => match answer.body.next().await {
                        Ok(Some(content)) if content == "inside" => served += 1,
                        other => unexpected = Some(format!("{other:?}")),
                    },
                    Offload::Refused(StatusCode::NOT_FOUND) => refused += 1,
                    other => unexpected = Some(format!("{other:?}")),
                }
            }
        });
        done.store(true, Ordering::Release);
    });
    assert_eq!(unexpected, None);
    assert!(served > 0 && refused > 0, "both states were met: {served} {refused}");
}

#[tokio::test]
async fn ten_thousand_random_paths_never_leave_the_root() {
    const PIECES: [&str; 32] = [
        "..",
        ".",
        "%2e",
        "%2E%2e",
        "%252e",
        "%2f",
        "%5c",
        "\\",
        "%00",
        "%c0%ae",
        ";",
        "a",
        "a",
        "b.css",
        "b.css",
        "escape",
        "absolute",
        "up",
        "up",
        "secret.txt",
        "secret.txt",
        "outside",
        "etc",
        "passwd",
        "www",
        "~",
        "%",
        "\u{e9}",
        "%20",
        "proc",
        "self",
        "root",
    ];
    let site = Site::new(&[
        ("a/b.css", "inside"),
        ("b.css", "inside"),
        ("a/a/secret.txt", "inside"),
        ("secret.txt", "inside"),
    ]);
    symlink("../outside", site.path("escape")).unwrap();
    symlink("/", site.path("absolute")).unwrap();
    symlink("../a", site.path("a/up")).unwrap();
    symlink("../../outside/secret.txt", site.path("a/outside")).unwrap();
    // xorshift64, seeded: the same paths in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut answered = 0;
    for round in 0..10_000 {
        let mut path = "/".to_owned();
        for _ in 0..=random(6) {
            path.push_str(PIECES[random(PIECES.len())]);
            // Mostly whole segments, sometimes pieces glued together, sometimes an empty segment.
            path.push_str(["/", "/", "/", "/", "", "", "//"][random(7)]);
        }
        // Most of the paths lose the slash at their end, or nothing would be asked for but directories.
        if random(4) > 0 {
            path.truncate(path.trim_end_matches('/').len().max(1));
        }
        if let Offload::Answer(answer) = site.ask(Method::GET, &path, &[], round % 2 == 0).await
            && answer.status == 200
        {
            assert_eq!(read(answer).await.content, "inside", "{path}");
            answered += 1;
        }
    }
    assert!(answered > 100, "the paths hit files too: {answered}");
}

#[test]
fn switch_of_the_link_that_names_the_root_is_followed() {
    let base = tempfile::tempdir().unwrap();
    for release in ["1", "2"] {
        fs::create_dir(base.path().join(release)).unwrap();
        fs::write(base.path().join(release).join("a.txt"), release).unwrap();
    }
    symlink("1", base.path().join("current")).unwrap();
    let root = Arc::new(Root::open(&base.path().join("current"), &[], false).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let content = || {
        runtime.block_on(async {
            match offload(&root, &Method::GET, b"/a.txt", &HeaderMap::new(), true).await {
                Offload::Answer(answer) => read(answer).await.content,
                other => panic!("{other:?}"),
            }
        })
    };
    assert_eq!(content(), "1");
    symlink("2", base.path().join("next")).unwrap();
    fs::rename(base.path().join("next"), base.path().join("current")).unwrap();
    root.follow().unwrap();
    assert_eq!(content(), "2");
    fs::remove_file(base.path().join("current")).unwrap();
    assert!(root.follow().is_err());
    assert_eq!(content(), "2");
}
