//! An Apache prefork server with PHP: what an AP server of a real farm is.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::origin::closed_address;
use crate::patience::eventually;

/// A running Apache. Dropping it stops it.
pub struct Apache {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

/// A line of Apache's access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApLogLine {
    /// Address of the visitor, as Apache was told.
    pub visitor: String,
    /// First line of the request.
    pub request: String,
    /// Status.
    pub status: u16,
    /// Whether the connection was closed after this request (Apache's `%X`: `-`, or `X` when aborted).
    pub closed: bool,
    /// How many requests came on the connection before (`%k`).
    pub keepalive_requests: u32,
    /// Microseconds it took.
    pub micros: u64,
}

// === impl Apache ===

impl Apache {
    /// Starts a server on a free loopback port that serves `docroot` and calls itself `number` in `X-AP`.
    #[must_use]
    pub fn start(directory: &Path, docroot: &Path, number: u32) -> Self {
        let directory = directory.join(format!("ap{number}"));
        std::fs::create_dir_all(&directory).expect("directory");
        // As on machines of their own: servers do not share PHP's sessions.
        let sessions = directory.join("sessions");
        std::fs::create_dir_all(&sessions).expect("directory");
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        std::fs::set_permissions(&sessions, everybody).expect("permissions");
        let address = closed_address();
        let config = directory.join("apache2.conf");
        std::fs::write(&config, configuration(&directory, docroot, address, number)).expect("write configuration");
        let child = spawn(&directory, &config);
        let server = Self { child, address, directory };
        let said = |file| std::fs::read_to_string(server.directory.join(file)).unwrap_or_default();
        let is_up = eventually(|| std::net::TcpStream::connect(address).is_ok());
        assert!(is_up, "Apache: {}{}", said("stderr"), said("error.log"));
        server
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it and its workers (SIGKILL): connections break off.
    pub fn kill(&mut self) {
        let group = rustix::process::Pid::from_raw(self.child.id().cast_signed()).expect("pid");
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }

    /// Starts it again where it was.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.directory.join("apache2.pid"));
        self.child = spawn(&self.directory, &self.directory.join("apache2.conf"));
        assert!(eventually(|| std::net::TcpStream::connect(self.address).is_ok()), "Apache does not listen again");
    }

    /// Stops it.
    pub fn end(&mut self) {
        crate::mariadb::stop(&mut self.child);
    }

    /// Its access log so far.
    #[must_use]
    pub fn log(&self) -> Vec<ApLogLine> {
        let text = std::fs::read_to_string(self.directory.join("access.log")).unwrap_or_default();
        text.lines().filter_map(parse).collect()
    }

    /// Log lines of requests for this target.
    #[must_use]
    pub fn log_of(&self, target: &str) -> Vec<ApLogLine> {
        self.log().into_iter().filter(|line| line.request.split(' ').nth(1) == Some(target)).collect()
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(directory: &Path, config: &Path) -> Child {
    let complaints = directory.join("stderr");
    let stderr = std::fs::File::create(&complaints).expect("file for what Apache complains of at start");
    // Apache ends its workers by a signal to its process group, so it gets one of its own; and is told when we are
    // killed, as that group's end no longer comes with ours.
    Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "apache2", "-DFOREGROUND", "-f"])
        .arg(config)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("apache2: run scripts/setup.sh test")
}

fn parse(line: &str) -> Option<ApLogLine> {
    let mut parts = line.split('\t');
    Some(ApLogLine {
        visitor: parts.next()?.to_owned(),
        request: parts.next()?.to_owned(),
        status: parts.next()?.parse().ok()?,
        closed: parts.next()? != "+",
        keepalive_requests: parts.next()?.parse().ok()?,
        micros: parts.next()?.parse().ok()?,
    })
}

fn configuration(directory: &Path, docroot: &Path, address: SocketAddr, number: u32) -> String {
    let modules = [
        ("mpm_prefork", "mod_mpm_prefork"),
        ("authz_core", "mod_authz_core"),
        ("dir", "mod_dir"),
        ("mime", "mod_mime"),
        ("headers", "mod_headers"),
        ("remoteip", "mod_remoteip"),
        ("rewrite", "mod_rewrite"),
        ("php", php_module()),
    ];
    let modules: String = modules
        .iter()
        .map(|(name, file)| format!("LoadModule {name}_module /usr/lib/apache2/modules/{file}.so\n"))
        .collect();
    // Apache does not serve as root.
    let user = if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
    let (directory, docroot) = (directory.display(), docroot.display());
    format!(
        r#"{modules}{user}ServerRoot "{directory}"
ServerName wp.test
PidFile "{directory}/apache2.pid"
Mutex file:{directory} default
Listen {address}
StartServers 2
MinSpareServers 2
MaxSpareServers 4
MaxRequestWorkers 8
KeepAlive On
KeepAliveTimeout 15
DocumentRoot "{docroot}"
TypesConfig /etc/mime.types
DirectoryIndex index.php index.html
AddType application/x-httpd-php .php
ErrorLog "{directory}/error.log"
LogFormat "%a\t%r\t%>s\t%X\t%k\t%D" visitor
CustomLog "{directory}/access.log" visitor
RemoteIPHeader X-Forwarded-For
RemoteIPInternalProxy 127.0.0.1
Header always set X-AP "{number}"
php_admin_value sendmail_path /bin/true
php_admin_value opcache.enable 1
php_value session.save_path "{directory}/sessions"
<Directory "{docroot}">
    AllowOverride None
    Require all granted
    Options FollowSymLinks
    RewriteEngine On
    RewriteCond %{{REQUEST_FILENAME}} !-f
    RewriteCond %{{REQUEST_FILENAME}} !-d
    RewriteRule . /index.php [L]
</Directory>
"#
    )
}

fn php_module() -> &'static str {
    let known = ["libphp8.2", "libphp8.4", "libphp8.3", "libphp"];
    let is_here = |name: &&&str| Path::new(&format!("/usr/lib/apache2/modules/{name}.so")).exists();
    known.iter().find(is_here).expect("mod_php: run scripts/setup.sh test")
}
