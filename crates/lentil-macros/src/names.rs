/// Returns the name of a field in documents and JSON: `jobId` for `job_id`.
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

/// Returns the literal of a variant: `inProgress` for `InProgress`.
pub(crate) fn variant_name(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}

/// Returns the name of the constant of an index: `BY_JOB_ID` for `by_jobId`.
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

/// Returns the known name that is nearest to an unknown one, if it is similar.
pub(crate) fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let scored = known
        .iter()
        .map(|candidate| (distance(name, candidate), candidate.as_str()));
    scored
        .min()
        // Up to a third of the letters may differ, about as much as rustc permits in its
        // suggestions.
        .filter(|(distance, _)| *distance <= name.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// Returns the Levenshtein distance: the number of letters to insert, remove or replace.
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
    fn names_are_converted_between_cases() {
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
    fn the_nearest_name_to_a_misspelt_one_is_found() {
        let known = ["idea", "job_id", "status"].map(str::to_owned);
        assert_eq!(nearest("job_idd", &known), Some("job_id"));
        assert_eq!(nearest("zzz", &known), None);
    }
}
