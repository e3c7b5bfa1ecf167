//! Session: what ties a request to a server, and what ties the next one to it.

use crate::context::Context;
use crate::fetch::Private;
use crate::http::Answer;
use crate::site::{Route, Site};
use crate::stages::deliver;
use crate::upstream::{Asker, Asking, Pool};

/// What the choice of a server depends on.
pub(crate) fn asker(context: &Context, pool: &Pool, path_query: &str) -> Asker {
    pool.asker(&Asking { fields: &context.request.fields, client: context.client, path_query })
}

/// What this client alone gets: an answer that nobody stores may tie it to the server that gave it.
pub(crate) fn answer(context: &Context, site: &Site, route: &Route, scheme: &str, private: Private) -> Answer {
    let server = private.server;
    let mut answer = deliver::passed(context, site, private);
    if let Some(pool) = &route.pool {
        pool.keep_session(&context.request.fields, server, &mut answer.fields, scheme == "https");
    }
    answer
}
