//! Certificates of visitors: whether a connection may be used for a site, and a route by who made it.

use http::StatusCode;

use crate::context::Context;
use crate::http::Refusal;
use crate::site::{Route, Site};

/// Lets the request go on.
///
/// # Errors
///
/// 421 on a connection that was made for another site, which demands something else (RFC 9110 section 15.5.20): the client
/// is to make one for this site, and show there what it wants to see. 403 without a certificate where one is needed, and
/// without TLS, by which none can be shown.
pub(crate) fn admit(context: &Context, site: &Site, route: &Route) -> Result<(), Refusal> {
    let Some(demands) = &site.demands else { return Ok(()) };
    let visitor = context.connection.visitor.as_deref();
    if context.connection.tls.is_some() && !demands.are_those_of(visitor) {
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "other-client-certificate"));
    }
    let known = visitor.is_some_and(|visitor| visitor.is_known());
    if route.certified && !known {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "no-client-certificate"));
    }
    Ok(())
}

/// Whether a certificate that the site wanted to see says who asks.
pub(crate) fn is_known(context: &Context, site: &Site) -> bool {
    let visitor = context.connection.visitor.as_deref();
    site.demands.is_some() && visitor.is_some_and(|visitor| visitor.is_known())
}
