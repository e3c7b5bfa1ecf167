//! Access by address and path.

use forebay_config::model;
use ipnet::IpNet;

use super::Asking;
use crate::site::PathRule;

/// `[[site.access]]`
#[derive(Debug)]
pub(super) struct Access {
    pub(super) allow: bool,
    networks: Vec<IpNet>,
    pub(super) path: Option<PathRule>,
}

impl Access {
    pub(super) fn new(rule: &model::AccessRule) -> Self {
        Self { allow: rule.allow, networks: rule.networks.clone(), path: rule.path.as_deref().map(PathRule::new) }
    }

    pub(super) fn matches(&self, asking: &Asking<'_>) -> bool {
        self.path.as_ref().is_none_or(|path| path.matches(asking.path))
            && self.networks.iter().any(|network| network.contains(&asking.client))
    }
}
