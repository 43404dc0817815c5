use lentil_runtime::{FieldName, UserIdentity, Value};
use serde_json::{Map, Value as Json};

use super::provider::ProviderKind;
use super::token::Claims;

/// OpenID Connect's claims that are strings, and their names in an identity.
const STRING_CLAIMS: &[(&str, &str)] = &[
    ("name", "name"),
    ("given_name", "givenName"),
    ("family_name", "familyName"),
    ("nickname", "nickname"),
    ("preferred_username", "preferredUsername"),
    ("profile", "profileUrl"),
    ("picture", "pictureUrl"),
    ("website", "websiteUrl"),
    ("email", "email"),
    ("gender", "gender"),
    ("birthdate", "birthday"),
    ("zoneinfo", "timezone"),
    ("locale", "language"),
    ("phone_number", "phoneNumber"),
];
/// OpenID Connect's claims that are booleans, and their names in an identity.
const BOOLEAN_CLAIMS: &[(&str, &str)] = &[
    ("email_verified", "emailVerified"),
    ("phone_number_verified", "phoneNumberVerified"),
];

/// The most attributes from flattened claims. Their names can be longer than in the token, and a
/// connection holds the identity.
const MAX_FLATTENED_CLAIMS: usize = 1_024;

/// Converts claims to the identity of a user. Claims with invalid names or values are skipped.
pub(super) fn identity(kind: ProviderKind, claims: Claims) -> UserIdentity {
    let identity = UserIdentity::new(&claims.issuer, &claims.subject);
    match kind {
        ProviderKind::Oidc => with_oidc(identity, claims.user),
        ProviderKind::CustomJwt(_) => with_flattened(identity, "", claims.user),
    }
}

/// Adds OpenID Connect's claims under Convex's names, and all others under their own.
fn with_oidc(mut identity: UserIdentity, mut claims: Map<String, Json>) -> UserIdentity {
    let mut standard = Vec::new();
    for (claim, name) in STRING_CLAIMS {
        standard.push((*name, claims.remove(*claim).filter(Json::is_string)));
    }
    for (claim, name) in BOOLEAN_CLAIMS {
        standard.push((*name, claims.remove(*claim).and_then(boolean)));
    }
    standard.push(("address", claims.remove("address").and_then(address)));
    standard.push(("updatedAt", claims.remove("updated_at").and_then(date_time)));
    for (name, claim) in claims {
        identity = with_claim(identity, &name, claim);
    }
    // The standard claims are added last, so that no other claim replaces them.
    for (name, claim) in standard {
        if let Some(claim) = claim {
            identity = with_claim(identity, name, claim);
        }
    }
    identity
}

/// Adds the fields of objects as separate attributes: `{"a": {"b": 1}}` becomes `a.b`. Attributes
/// above [`MAX_FLATTENED_CLAIMS`] are skipped.
fn with_flattened(
    mut identity: UserIdentity,
    prefix: &str,
    claims: Map<String, Json>,
) -> UserIdentity {
    for (name, claim) in claims {
        let name = format!("{prefix}{name}");
        identity = match claim {
            Json::Object(fields) => with_flattened(identity, &format!("{name}."), fields),
            _ if identity.attributes().len() >= MAX_FLATTENED_CLAIMS => identity,
            claim => with_claim(identity, &name, claim),
        };
    }
    identity
}

/// Adds a claim if its name and value are valid.
fn with_claim(identity: UserIdentity, name: &str, claim: Json) -> UserIdentity {
    match (FieldName::new(name.to_owned()), Value::from_json(claim)) {
        (Ok(_), Ok(value)) => identity
            .with(name, value)
            .expect("the name has been checked"),
        _ => identity,
    }
}

/// Reads a boolean claim. Some providers write it as a string.
fn boolean(claim: Json) -> Option<Json> {
    match claim.as_str() {
        Some("true") => Some(Json::Bool(true)),
        Some("false") => Some(Json::Bool(false)),
        _ => Some(claim).filter(Json::is_boolean),
    }
}

/// Reads an address. OpenID Connect's is an object that has the complete address in one field.
fn address(mut claim: Json) -> Option<Json> {
    let address = if claim.is_object() {
        claim["formatted"].take()
    } else {
        claim
    };
    Some(address).filter(Json::is_string)
}

/// Converts a time to RFC 3339. OpenID Connect's times are seconds since 1970. Some providers write
/// strings, which are kept.
fn date_time(claim: Json) -> Option<Json> {
    match claim.as_f64() {
        Some(seconds) => rfc3339(seconds).map(Json::String),
        None => Some(claim).filter(Json::is_string),
    }
}

/// Formats seconds since 1970, without fractions, for the years 0 to 9999.
fn rfc3339(seconds: f64) -> Option<String> {
    if !(-62_167_219_200.0..253_402_300_800.0).contains(&seconds) {
        return None;
    }
    let seconds = seconds.floor() as i64;
    let days = seconds.div_euclid(86_400);
    let second = seconds.rem_euclid(86_400);
    // Years begin in March here, so that the leap day is the last day of a year. 400 years have
    // 146,097 days.
    let days_since_march_0 = days + 719_468;
    let era = days_since_march_0.div_euclid(146_097);
    let day = days_since_march_0.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day + 2) / 153;
    let day = day - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year + i64::from(month <= 2);
    let hour = second / 3_600;
    let minute = second / 60 % 60;
    let second = second % 60;
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_by_rfc_3339() {
        let cases = [
            (0.0, "1970-01-01T00:00:00+00:00"),
            (951_782_400.0, "2000-02-29T00:00:00+00:00"),
            (1_700_000_000.9, "2023-11-14T22:13:20+00:00"),
            (-1.0, "1969-12-31T23:59:59+00:00"),
            (4_107_542_399.0, "2100-02-28T23:59:59+00:00"),
            (4_107_542_400.0, "2100-03-01T00:00:00+00:00"),
            (-62_167_219_200.0, "0000-01-01T00:00:00+00:00"),
            (253_402_300_799.0, "9999-12-31T23:59:59+00:00"),
        ];
        for (seconds, text) in cases {
            assert_eq!(rfc3339(seconds).as_deref(), Some(text));
        }
        assert_eq!(rfc3339(1e300), None);
    }
}
