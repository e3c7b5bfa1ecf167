//! A connection to one instance, or to a Redis Cluster: where a key lies is its business.

use std::time::Duration;

use forebay_config::model;
use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, FromRedisValue, RedisResult};

use crate::cluster::{Server, cluster_connection, connection};

#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects, within `patience`.
    pub(super) async fn open(config: &model::SharedTier, patience: Duration) -> RedisResult<Self> {
        let server = Server {
            url: &config.redis,
            username: config.username.as_deref(),
            password_file: config.password_file.as_deref(),
            ca: config.ca.as_deref(),
        };
        if config.redis_cluster {
            cluster_connection(&server, patience).await.map(Self::Cluster)
        } else {
            connection(&server, patience).await.map(Self::One)
        }
    }

    pub(super) async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Carries all out, at once where one instance has all keys.
    pub(super) async fn all(&mut self, commands: Vec<Cmd>) -> RedisResult<()> {
        match self {
            Self::One(connection) => {
                let mut pipe = redis::pipe();
                for command in commands {
                    pipe.add_command(command).ignore();
                }
                pipe.query_async(connection).await
            }
            Self::Cluster(connection) => {
                for command in commands {
                    let () = command.query_async(connection).await?;
                }
                Ok(())
            }
        }
    }
}
