use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderMap;
use http::request::Parts;
use lentil_runtime::{CallSource, Caller, Identity};

use crate::request_body::RequestBody;
use crate::server::Server;
use crate::sync::UpgradeSlot;
use crate::uri::query_parameter;

/// A request for one of the server's own paths.
pub(crate) struct ApiRequest<'a> {
    pub(crate) server: &'a Server,
    pub(crate) parts: Box<Parts>,
    pub(crate) body: RequestBody,
    /// The client's address.
    pub(crate) client: IpAddr,
    /// The source of the calls that the request makes.
    pub(crate) source: CallSource,
    /// The caller. Anonymous on a route that does not read the identity.
    pub(crate) identity: Identity,
    /// The byte at which the variable end of the path begins.
    pub(crate) rest_at: usize,
    /// Receives the upgrade of a connection that becomes a WebSocket.
    pub(crate) slot: &'a UpgradeSlot,
}

impl<'a> ApiRequest<'a> {
    pub(crate) fn new(
        server: &'a Server,
        parts: Box<Parts>,
        body: RequestBody,
        client: IpAddr,
        source: CallSource,
        slot: &'a UpgradeSlot,
    ) -> ApiRequest<'a> {
        ApiRequest {
            server,
            parts,
            body,
            client,
            source: source.with_caller(Caller::HttpApi),
            identity: Identity::Anonymous,
            rest_at: 0,
            slot,
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Returns the variable end of the path: `<uuid>` of `/api/storage/<uuid>`.
    pub(crate) fn rest(&self) -> &str {
        &self.path()[self.rest_at..]
    }

    /// Returns the first value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        query_parameter(&self.parts.uri, name)
    }
}
