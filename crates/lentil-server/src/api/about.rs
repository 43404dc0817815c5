use crate::ServerOptions;

/// A path that answers, in plain text, with something about the server itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Root,
    Version,
    Health,
    InstanceName,
}

impl About {
    pub(super) fn of(path: &str) -> Option<About> {
        Some(match path {
            "/" => About::Root,
            "/version" | "/instance_version" => About::Version,
            "/healthz" => About::Health,
            "/instance_name" => About::InstanceName,
            _ => return None,
        })
    }

    pub(super) fn text(self, options: &ServerOptions) -> String {
        match self {
            About::Root => format!("{} is running.", options.instance_name),
            About::Version => options.version.clone(),
            About::Health => "ok".to_owned(),
            About::InstanceName => options.instance_name.clone(),
        }
    }
}
