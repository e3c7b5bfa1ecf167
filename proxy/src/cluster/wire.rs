//! The commands of Redis that the cluster needs, and what they answer.

use std::path::Path;
use std::time::Duration;

use forebay_config::model;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::streams::StreamReadReply;
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisError, RedisResult,
    TlsCertificates, cmd,
};

use super::position::Position;

/// Purges that are kept; a node that has missed more purges everything.
const KEPT: usize = 100_000;

/// Acknowledgements that are kept: those who wait for them read them at once.
const ACKS_KEPT: usize = 10_000;

/// Entries read at once.
const BATCH: usize = 256;

/// How long Redis waits for something new before it says that there is nothing.
pub(super) const BLOCK: Duration = Duration::from_millis(1000);

/// A connection, and the names of the keys.
#[derive(Clone)]
pub(super) struct Wire {
    connection: MultiplexedConnection,
    prefix: String,
}

/// A node: its name, when it was last heard of (milliseconds), how far it is.
pub(super) type Node = (String, i64, Position);

/// The fields of a hash.
pub(super) type Fields = Vec<(String, Vec<u8>)>;

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) purge: Position,
    pub(super) node: String,
    pub(super) count: u64,
}

/// What was new in the streams.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) purges: Vec<(Position, Vec<u8>)>,
    pub(super) acks: Vec<(Position, Ack)>,
}

/// Where Redis is, and who we are there.
pub(crate) struct Server<'a> {
    pub(crate) url: &'a str,
    pub(crate) username: Option<&'a str>,
    pub(crate) password_file: Option<&'a Path>,
    /// Certificates (PEM) to trust instead of the system's.
    pub(crate) ca: Option<&'a Path>,
}

impl Server<'_> {
    /// With the password, and what to trust; both are read now.
    fn info(&self) -> RedisResult<(ConnectionInfo, Option<TlsCertificates>)> {
        let failed = |what: String| RedisError::from((ErrorKind::InvalidClientConfig, "configuration", what));
        let read = |path: &Path| std::fs::read(path).map_err(|error| failed(format!("{}: {error}", path.display())));
        let mut info = self.url.into_connection_info()?;
        let mut settings = info.redis_settings().clone();
        if let Some(username) = self.username {
            settings = settings.set_username(username);
        }
        if let Some(path) = self.password_file {
            settings = settings.set_password(String::from_utf8_lossy(&read(path)?).trim());
        }
        // Small commands, each waited for by somebody.
        info = info.set_redis_settings(settings).set_tcp_settings(no_delay());
        let trusted =
            self.ca.map(|path| Ok::<_, RedisError>(TlsCertificates { client_tls: None, root_cert: Some(read(path)?) }));
        Ok((info, trusted.transpose()?))
    }
}

fn no_delay() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// Connects, within `patience`; every command has as long for its answer.
///
/// # Errors
///
/// It cannot be reached, does not want us, or a file cannot be read.
pub(crate) async fn connection(server: &Server<'_>, patience: Duration) -> RedisResult<MultiplexedConnection> {
    let (info, trusted) = server.info()?;
    let client = match trusted {
        Some(trusted) => Client::build_with_tls(info, trusted)?,
        None => Client::open(info)?,
    };
    let limits =
        AsyncConnectionConfig::new().set_connection_timeout(Some(patience)).set_response_timeout(Some(patience));
    client.get_multiplexed_async_connection_with_config(&limits).await
}

/// The same, to a Redis Cluster that this is a node of.
///
/// # Errors
///
/// As [`connection`].
pub(crate) async fn cluster_connection(server: &Server<'_>, patience: Duration) -> RedisResult<ClusterConnection> {
    let (info, trusted) = server.info()?;
    let mut builder = ClusterClientBuilder::new([info])
        .connection_timeout(patience)
        .response_timeout(patience)
        .overall_response_timeout(Some(patience))
        .tcp_settings(no_delay())
        .retries(1);
    if let Some(trusted) = trusted {
        builder = builder.certs(trusted);
    }
    tokio::time::timeout(patience, builder.build()?.get_async_connection())
        .await
        .map_err(|_| RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)))?
}

impl Wire {
    /// Connects, within `patience`; every command has as long for its answer.
    pub(super) async fn connect(config: &model::Cluster, patience: Duration) -> RedisResult<Self> {
        let server = Server {
            url: &config.redis,
            username: config.username.as_deref(),
            password_file: config.password_file.as_deref(),
            ca: config.ca.as_deref(),
        };
        Ok(Self { connection: connection(&server, patience).await?, prefix: config.name.clone() })
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// Publishes an entry; where it stands, and who is there: a node that is not has yet to read it.
    pub(super) async fn publish(&mut self, entry: &[u8]) -> RedisResult<(Position, Vec<Node>)> {
        let (purges, nodes) = (self.key("purges"), self.key("nodes"));
        let (id, said): (String, Vec<(String, String)>) = redis::pipe()
            .cmd("XADD")
            .arg(purges)
            .arg("MAXLEN")
            .arg("~")
            .arg(KEPT)
            .arg("*")
            .arg("p")
            .arg(entry)
            .cmd("HGETALL")
            .arg(nodes)
            .query_async(&mut self.connection)
            .await?;
        let at = Position::parse(&id).ok_or((ErrorKind::UnexpectedReturnType, "not the id of an entry"))?;
        Ok((at, understood(said)))
    }

    /// Acknowledges the purges at these places.
    pub(super) async fn acknowledge(&mut self, acks: &[Ack]) -> RedisResult<()> {
        let key = self.key("acks");
        let mut pipe = redis::pipe();
        for ack in acks {
            pipe.cmd("XADD")
                .arg(&key)
                .arg("MAXLEN")
                .arg("~")
                .arg(ACKS_KEPT)
                .arg("*")
                .arg("p")
                .arg(ack.purge.to_string())
                .arg("n")
                .arg(&ack.node)
                .arg("c")
                .arg(ack.count)
                .ignore();
        }
        pipe.query_async(&mut self.connection).await
    }

    /// The last entry of a stream; the beginning where there is none.
    pub(super) async fn last(&mut self, stream: &str) -> RedisResult<Position> {
        let key = self.key(stream);
        let found: redis::streams::StreamRangeReply =
            cmd("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(1).query_async(&mut self.connection).await?;
        Ok(found.ids.first().and_then(|entry| Position::parse(&entry.id)).unwrap_or_default())
    }

    /// The last purges, `most` at most, the oldest first; and whether those are all that there ever were.
    pub(super) async fn newest(&mut self, most: usize) -> RedisResult<(Vec<(Position, Vec<u8>)>, bool)> {
        let key = self.key("purges");
        let mut found: Vec<(Position, Vec<u8>)> = Vec::new();
        let mut end = "+".to_owned();
        while found.len() < most {
            let page: redis::streams::StreamRangeReply = cmd("XREVRANGE")
                .arg(&key)
                .arg(&end)
                .arg("-")
                .arg("COUNT")
                .arg(BATCH)
                .query_async(&mut self.connection)
                .await?;
            let before = found.len();
            for entry in page.ids {
                let Some(at) = Position::parse(&entry.id) else { continue };
                // A page begins with the last entry of the one before.
                if found.last().is_none_or(|(last, _)| at < *last) {
                    found.push((at, entry.get::<Vec<u8>>("p").unwrap_or_default()));
                }
            }
            let Some((at, _)) = found.last().filter(|_| found.len() > before) else { break };
            end = at.to_string();
        }
        let length: usize = cmd("XLEN").arg(&key).query_async(&mut self.connection).await?;
        found.reverse();
        let is_all = length <= found.len() && length < KEPT;
        Ok((found, is_all))
    }

    /// The number that this stream was given when it began; drawn now if it has none, or `anew`. Never 0.
    pub(super) async fn history(&mut self, anew: bool) -> RedisResult<u64> {
        let key = self.key("history");
        let drawn = ahash::RandomState::new().hash_one(std::process::id()).max(1);
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(&key).arg(drawn);
        if !anew {
            pipe.arg("NX");
        }
        let (number,): (u64,) = pipe.ignore().cmd("GET").arg(&key).query_async(&mut self.connection).await?;
        Ok(number.max(1))
    }

    /// Redis' clock, milliseconds.
    pub(super) async fn clock(&mut self) -> RedisResult<i64> {
        let (seconds, micros): (i64, i64) = cmd("TIME").query_async(&mut self.connection).await?;
        Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
    }

    /// Whether the purge at this place is still there; then all after it are, for the oldest go first.
    pub(super) async fn has(&mut self, at: Position) -> RedisResult<bool> {
        let (key, id) = (self.key("purges"), at.to_string());
        let found: redis::streams::StreamRangeReply =
            cmd("XRANGE").arg(key).arg(&id).arg(&id).query_async(&mut self.connection).await?;
        Ok(!found.ids.is_empty())
    }

    /// What stands behind these places; waits for it where `waits`.
    pub(super) async fn read(&mut self, purges: Position, acks: Position, waits: bool) -> RedisResult<News> {
        let (of_purges, of_acks) = (self.key("purges"), self.key("acks"));
        let mut command = cmd("XREAD");
        command.arg("COUNT").arg(BATCH);
        if waits {
            command.arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(1000));
        }
        command.arg("STREAMS").arg(&of_purges).arg(&of_acks).arg(purges.to_string()).arg(acks.to_string());
        let found: Option<StreamReadReply> = command.query_async(&mut self.connection).await?;
        let mut news = News::default();
        for stream in found.into_iter().flat_map(|found| found.keys) {
            for entry in stream.ids {
                let Some(at) = Position::parse(&entry.id) else { continue };
                if stream.key == of_purges {
                    news.purges.push((at, entry.get::<Vec<u8>>("p").unwrap_or_default()));
                } else if let (Some(purge), Some(node), Some(count)) =
                    (entry.get::<String>("p"), entry.get::<String>("n"), entry.get::<u64>("c"))
                    && let Some(purge) = Position::parse(&purge)
                {
                    news.acks.push((at, Ack { purge, node, count }));
                }
            }
        }
        Ok(news)
    }

    /// Redis' clock, seconds, and the fields of the hash of ticket keys.
    pub(super) async fn tickets(&mut self) -> RedisResult<(i64, Fields)> {
        let key = self.key("tickets");
        let ((now, _), fields): ((i64, i64), Fields) =
            redis::pipe().cmd("TIME").cmd("HGETALL").arg(key).query_async(&mut self.connection).await?;
        Ok((now, fields))
    }

    /// Removes the `retired` fields and writes those `offered` that are not there; what is there then.
    pub(super) async fn offer_tickets(&mut self, retired: &[&str], offered: &Fields) -> RedisResult<Fields> {
        let key = self.key("tickets");
        let mut pipe = redis::pipe();
        pipe.atomic();
        for field in retired {
            pipe.cmd("HDEL").arg(&key).arg(field).ignore();
        }
        for (field, sealed) in offered {
            pipe.cmd("HSETNX").arg(&key).arg(field).arg(sealed).ignore();
        }
        let (fields,): (Fields,) = pipe.cmd("HGETALL").arg(&key).query_async(&mut self.connection).await?;
        Ok(fields)
    }

    /// Says that `node` is there and how far it has come; who else has said so, when (milliseconds), and how far they are.
    pub(super) async fn beat(&mut self, node: &str, now: i64, at: Position) -> RedisResult<Vec<Node>> {
        let key = self.key("nodes");
        let (said,): (Vec<(String, String)>,) = redis::pipe()
            .cmd("HSET")
            .arg(&key)
            .arg(node)
            .arg(format!("{now} {at}"))
            .ignore()
            .cmd("HGETALL")
            .arg(&key)
            .query_async(&mut self.connection)
            .await?;
        Ok(understood(said))
    }
}

fn understood(said: Vec<(String, String)>) -> Vec<Node> {
    let node = |(node, text): (String, String)| {
        let (when, at) = text.split_once(' ')?;
        Some((node, when.parse().ok()?, Position::parse(at)?))
    };
    said.into_iter().filter_map(node).collect()
}
