//! The stages of a request, in their order. Each is a function that returns a decision with its reason.

pub(crate) mod admit;
pub(crate) mod certificate;
pub(crate) mod client;
pub(crate) mod collapse;
pub(crate) mod deliver;
pub(crate) mod guard;
pub(crate) mod key;
pub(crate) mod lookup;
pub(crate) mod normalize;
pub(crate) mod offload;
pub(crate) mod partial;
pub(crate) mod rescue;
pub(crate) mod route;
pub(crate) mod session;
