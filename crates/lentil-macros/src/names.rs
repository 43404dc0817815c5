use quote::ToTokens;
use syn::Result;

use crate::misuse::Misuse;

/// `job_id` is `jobId`: what the field is called outside Rust.
pub(crate) fn camel_case(name: &str) -> String {
    let name = name.strip_prefix("r#").unwrap_or(name);
    let mut parts = name.split('_');
    let mut camel = parts
        .by_ref()
        .find(|part| !part.is_empty())
        .unwrap_or_default()
        .to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// `InProgress` is `inProgress`: what a variant's literal is.
pub(crate) fn variant_name(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}

/// `by_jobId` is `BY_JOB_ID`: the constant of an index.
pub(crate) fn constant_name(name: &str) -> String {
    let mut constant = String::new();
    let mut after_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
        after_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    constant
}

/// Refuses what cannot name a table, an index or a field.
pub(crate) fn check_name(what: &str, name: &str, place: impl ToTokens) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins_well || name.len() > 64 || !name.chars().all(legal) || name.chars().all(|c| c == '_')
    {
        return Err(Misuse::Name { what, name }.at(place));
    }
    if name.starts_with('_') {
        Err(Misuse::ReservedName { what, name }.at(place))
    } else {
        Ok(())
    }
}

/// The nearest of `known` to a name that is not among them, when one is near.
pub(crate) fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let scored = known
        .iter()
        .map(|candidate| (distance(name, candidate), candidate.as_str()));
    scored
        .min()
        .filter(|(distance, _)| *distance <= name.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or change to make one name the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_their_case() {
        assert_eq!(camel_case("job_id"), "jobId");
        assert_eq!(camel_case("r#type"), "type");
        assert_eq!(camel_case("created_at_ms"), "createdAtMs");
        assert_eq!(variant_name("InProgress"), "inProgress");
        assert_eq!(constant_name("by_jobId"), "BY_JOB_ID");
        assert_eq!(
            constant_name("by_status_and_createdAt"),
            "BY_STATUS_AND_CREATED_AT"
        );
    }

    #[test]
    fn names_are_identifiers_and_not_the_systems() {
        let is_name = |name: &str| check_name("a field", name, quote::quote!(place)).is_ok();
        assert!(
            ["a", "jobId", "A9", "a_", &"x".repeat(64)]
                .into_iter()
                .all(is_name)
        );
        assert!(
            ![
                "",
                "_",
                "_id",
                "9a",
                "a-b",
                "a b",
                "\u{e9}",
                &"x".repeat(65)
            ]
            .into_iter()
            .any(is_name)
        );
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let known = ["idea", "job_id", "status"].map(str::to_owned);
        assert_eq!(nearest("job_idd", &known), Some("job_id"));
        assert_eq!(nearest("zzz", &known), None);
    }
}
