//! A real WordPress farm: MariaDB, two Apache servers with PHP, one document root, Debian's packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apache::Apache;
use crate::browser::Browser;
use crate::mariadb::MariaDb;
use crate::proxy::Proxy;
use crate::proxy_config::ProxyConfig;

/// Host name of the site.
pub const SITE: &str = "wp.test";
/// The administrator.
pub const ADMIN: (&str, &str) = ("miller", "water-turns-the-wheel");

/// A running, installed WordPress. Dropping it stops all of it.
pub struct WordPress {
    /// The AP servers, which answer `X-AP: 1` and `X-AP: 2`.
    pub ap: [Apache; 2],
    docroot: PathBuf,
    _database: MariaDb,
    _directory: tempfile::TempDir,
}

// === impl WordPress ===

impl WordPress {
    /// Starts the farm and installs WordPress (title "The Mill"), straight at the first AP server.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("forebay-wp").tempdir().expect("temporary directory");
        // Apache's workers are another user when the tests run as root.
        run(Command::new("chmod").arg("755").arg(directory.path()));
        let docroot = directory.path().join("html");
        run(Command::new("cp").args(["-rL", "/usr/share/wordpress"]).arg(&docroot));
        let database = MariaDb::start(directory.path());
        configure(&docroot, database.socket());
        let ap = [1, 2].map(|number| Apache::start(directory.path(), &docroot, number));
        let farm = Self { ap, docroot, _database: database, _directory: directory };
        farm.install();
        farm
    }

    /// The document root, shared by the AP servers.
    #[must_use]
    pub fn docroot(&self) -> &Path {
        &self.docroot
    }

    /// A browser that speaks to one AP server, with nothing between.
    #[must_use]
    pub fn browser(&self, ap: usize) -> Browser {
        Browser::to(SITE, self.ap[ap].address(), None)
    }

    /// The ten-line configuration of a WordPress operator, as a start.
    pub fn config(&self) -> ProxyConfig {
        ProxyConfig::new()
            .server_at(self.ap[0].address(), 1)
            .server_at(self.ap[1].address(), 1)
            .site("preset = \"wordpress\"")
            .root(&self.docroot)
            .certified_for(&[SITE, "www.wp.test"])
    }

    /// Forebay before the farm.
    #[must_use]
    pub fn proxy(&self) -> Proxy {
        self.config().start()
    }

    /// How many requests the AP servers have logged for this target.
    #[must_use]
    pub fn count(&self, target: &str) -> usize {
        self.ap.iter().map(|ap| ap.log_of(target).len()).sum()
    }

    fn install(&self) {
        let form = [
            ("weblog_title", "The Mill"),
            ("user_name", ADMIN.0),
            ("admin_password", ADMIN.1),
            ("admin_password2", ADMIN.1),
            ("pw_weak", "on"),
            ("admin_email", "miller@wp.test"),
            ("blog_public", "0"),
            ("language", ""),
        ];
        let done = self.browser(0).post("/wp-admin/install.php?step=2", &form);
        assert!(done.text().contains("Success!"), "installation: {done}\n{}", done.text());
    }
}

impl Browser {
    /// Logs in as the administrator; the browser keeps the cookies.
    ///
    /// # Panics
    /// When WordPress does not let us in.
    pub fn log_in(&mut self) {
        self.log_in_as(ADMIN.0, ADMIN.1);
    }

    /// Logs in as this user; the browser keeps the cookies.
    ///
    /// # Panics
    /// When WordPress does not let us in.
    pub fn log_in_as(&mut self, name: &str, password: &str) {
        self.get("/wp-login.php");
        let form = [("log", name), ("pwd", password), ("wp-submit", "Log In"), ("testcookie", "1")];
        let answer = self.post("/wp-login.php", &form);
        assert_eq!(answer.status, 302, "login: {answer}");
        assert!(self.cookie("wordpress_logged_in_").is_some(), "no cookie of a session: {answer}");
    }

    /// Publishes a post by the REST interface, as the editor does; returns its path.
    ///
    /// # Panics
    /// When WordPress refuses.
    pub fn publish(&mut self, title: &str, content: &str) -> String {
        let post = serde_json::json!({ "title": title, "content": content, "status": "publish" });
        let created = self.create("/wp-json/wp/v2/posts", &post);
        let link = created["link"].as_str().expect("link");
        let path = link.split_once(SITE).expect("a link to the site").1;
        path.to_owned()
    }

    /// Writes a post that is to be published in two minutes (what is due within one WordPress publishes at once); its
    /// number.
    ///
    /// # Panics
    /// When WordPress refuses.
    pub fn schedule(&mut self, title: &str) -> u64 {
        let date = utc(std::time::SystemTime::now() + std::time::Duration::from_secs(120));
        let post = serde_json::json!({ "title": title, "content": title, "status": "future", "date_gmt": date });
        let created = self.create("/wp-json/wp/v2/posts", &post);
        assert_eq!(created["status"], "future", "{created}");
        created["id"].as_u64().expect("a number")
    }

    /// Adds a user of this role; for the administrator.
    ///
    /// # Panics
    /// When WordPress refuses.
    pub fn add_user(&mut self, name: &str, password: &str, role: &str) {
        let email = format!("{name}@wp.test");
        let user = serde_json::json!({ "username": name, "email": email, "password": password, "roles": [role] });
        self.create("/wp-json/wp/v2/users", &user);
    }

    /// Posts to the REST interface, as the editor does; what was made.
    fn create(&mut self, target: &str, what: &serde_json::Value) -> serde_json::Value {
        let nonce = self.get("/wp-admin/admin-ajax.php?action=rest-nonce").text().to_owned();
        let fields = [("Content-Type", "application/json"), ("X-WP-Nonce", nonce.as_str())];
        let answer = self.send("POST", target, &fields, what.to_string().as_bytes());
        assert_eq!(answer.status, 201, "{target}: {answer}");
        serde_json::from_slice(&answer.decoded()).expect("JSON")
    }
}

/// `2026-11-21T14:30:00`, in UTC, rounded up to a second.
fn utc(time: std::time::SystemTime) -> String {
    let seconds = time.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() + 1;
    let output = Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%S"]).output();
    String::from_utf8(output.expect("date").stdout).expect("ASCII").trim().to_owned()
}

fn configure(docroot: &Path, socket: &Path) {
    let config = format!(
        r"<?php
// TLS ends at the proxy.
if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') {{ $_SERVER['HTTPS'] = 'on'; }}
// The site is served on both schemes.
define('WP_HOME', (isset($_SERVER['HTTPS']) ? 'https' : 'http') . '://{SITE}');
define('WP_SITEURL', WP_HOME);
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:{socket}');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT',
          'LOGGED_IN_SALT', 'NONCE_SALT'] as $name) {{ define($name, 'a test has no secrets: ' . $name); }}
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) {{ define('ABSPATH', __DIR__ . '/'); }}
require_once ABSPATH . 'wp-settings.php';
",
        socket = socket.display()
    );
    std::fs::write(docroot.join("wp-config.php"), config).expect("write wp-config.php");
    let plugins = docroot.join("wp-content/mu-plugins");
    std::fs::create_dir_all(&plugins).expect("mu-plugins");
    // Nothing outside is asked, the site itself included (its name resolves nowhere).
    let plugin = "<?php
add_filter('pre_option_permalink_structure', fn() => '/%postname%/');
add_filter('pre_http_request', fn() => new WP_Error('offline', 'offline'));
// A scheduled post is due in two seconds rather than two minutes.
if (isset($_GET['hasten'])) {
    add_action('init', function () {
        global $wpdb;
        $id = (int) $_GET['hasten'];
        $due = time() + 2;
        $date = gmdate('Y-m-d H:i:s', $due);
        $wpdb->update($wpdb->posts, ['post_date' => $date, 'post_date_gmt' => $date], ['ID' => $id]);
        clean_post_cache($id);
        wp_clear_scheduled_hook('publish_future_post', [$id]);
        wp_schedule_single_event($due, 'publish_future_post', [$id]);
        exit('hastened');
    });
}
// Each page says for whom it was made.
function test_made_for() {
    $user = wp_get_current_user();
    $name = wp_get_current_commenter()['comment_author'];
    $who = $user->ID ? 'user:' . $user->user_login : ($name ? 'commenter:' . $name : 'stranger');
    echo '<!-- made-for[' . esc_html($who) . '] -->';
}
add_action('wp_footer', 'test_made_for');
add_action('admin_footer', 'test_made_for');
if (isset($_GET['megabytes'])) {
    header('Content-Type: text/plain');
    for ($i = 0; $i < 16 * (int) $_GET['megabytes']; $i++) { echo str_repeat('x', 65536); }
    exit;
}
";
    std::fs::write(plugins.join("test.php"), plugin).expect("write the plugin");
    std::fs::create_dir_all(docroot.join("wp-content/uploads")).expect("uploads");
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(docroot));
    run(Command::new("chmod").args(["-R", "a+w"]).arg(docroot.join("wp-content/uploads")));
}

fn run(command: &mut Command) {
    let status = command.status().expect("a command of Debian's");
    assert!(status.success(), "{command:?}: {status}");
}
