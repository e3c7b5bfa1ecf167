//! Requests and answers as the stages see them, the same for HTTP/1 and HTTP/2.

pub(crate) mod answer;
pub(crate) mod chunked;
pub(crate) mod date;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod sink;

pub(crate) use answer::{Answer, Content};
pub(crate) use refusal::Refusal;
pub(crate) use request::{BodyReadError, Request, RequestBody};
pub(crate) use sink::{Length, Sink, SinkError, Watched};
