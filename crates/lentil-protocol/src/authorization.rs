use data_encoding::BASE64;
use serde_json::Value as Json;

use crate::ProtocolError;

/// What an `Authorization` header says.
#[derive(Clone, Debug, PartialEq)]
pub enum Authorization<'h> {
    /// `Bearer <JWT>`: a user's token.
    User(&'h str),
    /// `Convex <admin key>`.
    Admin(&'h str),
}

impl<'h> Authorization<'h> {
    /// Reads the header's value; the scheme is of any case.
    ///
    /// # Errors
    /// `InvalidHeaderFailure` when it is too short to be one, `InvalidAdminKey` when the scheme is another.
    pub fn parse(header: &'h str) -> Result<Authorization<'h>, ProtocolError> {
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

    /// An admin key and the user whom it acts as, where `presented` ends `:<base64 of the user's JSON>`.
    pub fn split_acting_as(presented: &str) -> Option<(&str, Json)> {
        let (key, user) = presented.rsplit_once(':')?;
        let user = serde_json::from_slice(&BASE64.decode(user.as_bytes()).ok()?).ok()?;
        Some((key, user))
    }

    /// An admin key without the prefix that says what kind of deployment it is for: `prod:name|…`.
    pub fn strip_kind(key: &str) -> &str {
        let (before, _) = key.split_once('|').unwrap_or((key, ""));
        before.rfind(':').map_or(key, |colon| &key[colon + 1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_schemes_are_read_in_any_case() {
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
    fn a_key_may_name_the_user_it_acts_as() {
        let user = BASE64.encode(br#"{"subject":"ada"}"#);
        let presented = format!("name|key:{user}");
        let (key, json) = Authorization::split_acting_as(&presented).unwrap();
        assert_eq!((key, json["subject"].as_str()), ("name|key", Some("ada")));
        assert_eq!(Authorization::split_acting_as("name|key"), None);
        assert_eq!(Authorization::split_acting_as("prod:name|key"), None);
    }

    #[test]
    fn the_kind_of_deployment_is_no_part_of_the_key() {
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
