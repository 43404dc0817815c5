use data_encoding::BASE64;
use serde_json::Value as Json;

use crate::error::ProtocolError;

/// The credentials in an `Authorization` header.
#[derive(Clone, Debug, PartialEq)]
pub enum Authorization<'h> {
    /// `Bearer <JWT>`: a user's token.
    User(&'h str),
    /// `Convex <admin key>`.
    Admin(&'h str),
}

impl<'h> Authorization<'h> {
    /// Parses the value of the header. The case of the scheme does not matter.
    ///
    /// # Errors
    /// Returns `InvalidHeaderFailure` if the value is too short, and `InvalidAdminKey` for an
    /// unknown scheme.
    pub fn parse(header: &'h str) -> Result<Authorization<'h>, ProtocolError> {
        // `Bearer ` and `Convex ` have seven characters each.
        if header.len() < 7 {
            return Err(ProtocolError::new(
                "InvalidHeaderFailure",
                "the Authorization header is too short; write `Bearer <token>` or `Convex <admin key>`",
            ));
        }
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            Ok(Authorization::User(rest))
        } else if scheme.eq_ignore_ascii_case("convex") {
            Ok(Authorization::Admin(rest))
        } else {
            Err(ProtocolError::new(
                "InvalidAdminKey",
                "the Authorization header has an unknown scheme; write `Bearer <token>` or `Convex <admin key>`",
            ))
        }
    }

    /// Splits an admin key from the user that it impersonates: `<key>:<base64 of the user's JSON>`.
    pub fn split_acting_as(presented: &str) -> Option<(&str, Json)> {
        // The last colon, because a key such as `prod:name|…` has one of its own. The part after
        // that one is not base64 of JSON, so the key is then taken as a whole.
        let (key, user) = presented.rsplit_once(':')?;
        let user = serde_json::from_slice(&BASE64.decode(user.as_bytes()).ok()?).ok()?;
        Some((key, user))
    }

    /// Returns an admin key without the kind of its deployment: `name|…` for `prod:name|…`.
    pub fn strip_kind(key: &str) -> &str {
        let (before, _) = key.split_once('|').unwrap_or((key, ""));
        // The last colon, because the key of a preview has a team as well: `preview:team:name|…`.
        match before.rfind(':') {
            Some(colon) => &key[colon + 1..],
            None => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_the_scheme_does_not_matter() {
        assert_eq!(
            Authorization::parse("bearer a.b.c"),
            Ok(Authorization::User("a.b.c"))
        );
        assert_eq!(
            Authorization::parse("CONVEX name|key"),
            Ok(Authorization::Admin("name|key"))
        );
        for (header, code) in [
            ("", "InvalidHeaderFailure"),
            ("Basic", "InvalidHeaderFailure"),
            ("Basic abc", "InvalidAdminKey"),
        ] {
            assert_eq!(Authorization::parse(header).unwrap_err().code, code);
        }
    }

    #[test]
    fn an_admin_key_can_act_as_a_user() {
        let user = BASE64.encode(br#"{"subject":"ada"}"#);
        let presented = format!("name|key:{user}");
        let (key, json) = Authorization::split_acting_as(&presented).unwrap();
        assert_eq!((key, json["subject"].as_str()), ("name|key", Some("ada")));
        assert_eq!(Authorization::split_acting_as("name|key"), None);
        assert_eq!(Authorization::split_acting_as("prod:name|key"), None);
    }

    #[test]
    fn the_kind_of_deployment_is_not_part_of_the_key() {
        for (key, stripped) in [
            ("prod:name|k", "name|k"),
            ("preview:team:project|k", "project|k"),
            ("name|k", "name|k"),
            ("k", "k"),
        ] {
            assert_eq!(Authorization::strip_kind(key), stripped);
        }
    }
}
