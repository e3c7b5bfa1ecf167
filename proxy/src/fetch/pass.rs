//! A fetch for one client, of which nothing is stored.

use super::receive::begin;
use super::run::{Answer, Failed, Job, UpstreamReport};
use super::stream::hand_over;
use super::{FetchError, forward};

/// Asks an AP server, and hands over what it says. Ends early when nobody waits for that any more.
pub(super) async fn pass(job: &mut Job, mut answer: Answer, report: &mut UpstreamReport) -> Result<(), Failed> {
    let body = std::mem::take(&mut job.body);
    let Job { lasting, pool, outbound, .. } = &*job;
    let begun = async {
        let permit = pool.enter(&outbound.fields, job.background, true).await?;
        let (mut exchange, head) =
            begin(lasting, pool, job.asker, job.interim.as_ref(), outbound, body, report).await?;
        exchange.permit = permit;
        Ok::<(forward::Exchange, _), FetchError>((exchange, head))
    };
    let begun = tokio::select! {
        begun = begun => begun,
        () = answer.closed() => return Ok(()),
    };
    match begun {
        Ok((exchange, head)) => {
            job.heed(&outbound.method, &head).await;
            hand_over(lasting, pool, exchange, head, None, None, answer, *report).await
        }
        Err(error) => Err((error, Some(answer))),
    }
}
