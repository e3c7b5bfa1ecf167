//! What checks say of a server: one good or bad one changes nothing, several in a row do.

/// Whether a server is taken to be well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    up: bool,
    /// Checks in a row that say otherwise.
    contrary: u32,
}

impl Verdict {
    /// Before the first check a server is taken to be well: a start does not refuse what it could serve.
    pub(super) const fn new() -> Self {
        Self { up: true, contrary: 0 }
    }

    pub(super) const fn is_up(self) -> bool {
        self.up
    }

    /// Takes note of a check; whether it changed the verdict.
    pub(super) fn record(&mut self, good: bool, rise: u32, fall: u32) -> bool {
        if good == self.up {
            self.contrary = 0;
            return false;
        }
        self.contrary += 1;
        if self.contrary < if self.up { fall } else { rise } {
            return false;
        }
        *self = Self { up: good, contrary: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict after each check, good ones as `+`; `rise` 2, `fall` 3.
    fn after(checks: &str) -> String {
        let mut verdict = Verdict::new();
        let mut seen = String::new();
        for check in checks.chars() {
            let before = verdict.is_up();
            let changed = verdict.record(check == '+', 2, 3);
            assert_eq!(changed, before != verdict.is_up());
            seen.push(if verdict.is_up() { 'U' } else { 'd' });
        }
        seen
    }

    #[test]
    fn falls_after_three_and_rises_after_two_in_a_row() {
        assert_eq!(after("---"), "UUd");
        assert_eq!(after("--+--+---"), "UUUUUUUUd");
        assert_eq!(after("----+-+-++"), "UUdddddddU");
    }
}
