//! Requests without a pause, while something else happens.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::Proxy;

/// Runs `happens` while so many clients ask for `/x` again and again, on a connection each.
///
/// # Panics
/// When one answer was not 200, or hardly any came.
pub fn no_client_sees_an_error(proxy: &Proxy, clients: usize, happens: impl FnOnce()) {
    let (over, errors, answered) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = proxy.connect();
                while !over.load(Ordering::Relaxed) {
                    let good = client.get("/x").status == 200;
                    answered.fetch_add(1, Ordering::Relaxed);
                    errors.fetch_add(usize::from(!good), Ordering::Relaxed);
                }
            });
        }
        happens();
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(errors.into_inner(), 0);
    assert!(answered.into_inner() > 100);
}
