//! Behaviour of the built binary. One module a family of claims, one test a claim.
//!
//! `framing_*` and `offload_*` tests named `row_NN_…` are the rows of the attack catalogue: what an attacker sends, and
//! the only outcomes that are safe.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests report by panicking")]

mod harness;
mod refusal;

mod framing_admission;
mod framing_connections;
mod framing_h2;
mod framing_h2_frames;
mod framing_requests;
mod framing_responses;
mod front;
mod front_files;

mod offload_conditions;
mod offload_files;
mod offload_security;

mod listen_connections;
mod listen_deadlines;
mod listen_proxy_protocol;
mod listen_tls;
mod listen_visitors;

mod limits_access;
mod limits_requests;

mod route_requests;

mod tcp_mariadb;
mod tcp_passthrough;
mod tcp_relay;

mod forward_failures;
mod forward_fields;
mod forward_servers;
mod forward_slow_clients;
mod forward_streams;

mod balance_changes;
mod balance_choice;
mod balance_failures;
mod balance_farm;
mod balance_h2;
mod balance_health;
mod balance_names;
mod balance_operator;
mod balance_queue;
mod balance_sticky;
mod balance_tls;

mod cache_attacks;
mod cache_collapse;
mod cache_fills;
mod cache_freshness;
mod cache_invalidation;
mod cache_keys;
mod cache_preset;
mod cache_queries;
mod cache_selection;
mod cache_stale;
mod cache_storing;

mod conformance_head;
mod conformance_messages;
mod conformance_partial;
mod conformance_sharing;

mod compress;

mod cluster_purge;
mod cluster_tickets;

mod import_files;

mod purge_dialects;
mod purge_engine;
mod shared_tier;
mod siblings_asking;
mod siblings_network;
mod siblings_packets;
mod siblings_squid;

mod disk_crash;
mod disk_large;
mod disk_space;
mod disk_tier;
mod disk_trouble;

mod docs_configs;
mod docs_references;

mod account_log;
mod account_metrics;
mod config_cli;
mod doctor;
mod drain;
mod explain_reasons;
mod explain_requests;
mod leak_canary;
mod shield;
mod simulate;
mod soak;
mod top;
mod wordpress_browse;
mod wordpress_doctor;
mod wordpress_explain;
mod wordpress_farm;
mod wordpress_preset;
mod wordpress_purge;
mod wordpress_sessions;
