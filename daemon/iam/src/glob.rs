//! Wildcards of policy documents: `*` is any run of characters, `?` is exactly one.

use std::collections::HashMap;

const WORD: usize = u64::BITS as usize;

/// Whether the whole text fits the pattern.
///
/// All positions of the pattern that may come next are kept as bits and move together, one step a
/// character, so the time is (length of the text) × (length of the pattern / 64, rounded up)
/// whatever the pattern: nothing is tried twice.
pub fn matches(pattern: &str, text: &str) -> bool {
    if !is_pattern(pattern) {
        return pattern == text;
    }
    let mut tokens: Vec<char> = Vec::new();
    let mut stars: Vec<usize> = Vec::new();
    for c in pattern.chars() {
        if c == '*' {
            stars.push(tokens.len());
        } else {
            tokens.push(c);
        }
    }
    let words = tokens.len() / WORD + 1;
    let set = |bits: &mut [u64], at: usize| bits[at / WORD] |= 1 << (at % WORD);
    // Bit i of `here`: the first i tokens have been matched. Bit i of `stay`: a star stands there.
    let (mut here, mut stay) = (vec![0_u64; words], vec![0_u64; words]);
    set(&mut here, 0);
    for at in stars {
        set(&mut stay, at);
    }
    let mut masks: HashMap<char, Vec<u64>> = HashMap::new();
    for c in text.chars() {
        let mask = masks.entry(c).or_insert_with(|| {
            let mut mask = vec![0; words];
            for (at, token) in tokens.iter().enumerate() {
                if *token == c || *token == '?' {
                    mask[at / WORD] |= 1 << (at % WORD);
                }
            }
            mask
        });
        let mut carry = 0;
        for ((bits, fits), star) in here.iter_mut().zip(mask.iter()).zip(&stay) {
            let moved = *bits & fits;
            let next = (moved << 1) | carry | (*bits & star);
            carry = moved >> (WORD - 1);
            *bits = next;
        }
    }
    here[tokens.len() / WORD] >> (tokens.len() % WORD) & 1 == 1
}

/// True when the text holds a wildcard.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => {
                naive(&pattern[1..], text) || (!text.is_empty() && naive(pattern, &text[1..]))
            }
            (Some('?'), Some(_)) => naive(&pattern[1..], &text[1..]),
            (Some(p), Some(t)) if p == t => naive(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    #[test]
    fn wildcards_match_runs_and_single_characters() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("?", "", false),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("kafka-cluster:*topic", "kafka-cluster:createtopic", true),
            ("kafka-cluster:*topic", "kafka-cluster:createtopics", false),
            ("?é*", "xé", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_pattern_made_to_backtrack_costs_no_more_than_another() {
        let pattern = "a*".repeat(2_000) + "b";
        assert!(!matches(&pattern, &"a".repeat(10_000)));
        assert!(matches(&pattern, &("a".repeat(10_000) + "b")));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_naive_matcher(pattern in "[ab*?]{0,9}", text in "[ab]{0,10}") {
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), naive(&p, &t));
        }

        #[test]
        fn it_agrees_beyond_one_machine_word(
            head in "[a?]{60,70}", pattern in "[ab*?]{0,5}", text in "[ab]{0,8}",
        ) {
            let (pattern, text) = (format!("{head}{pattern}"), format!("{}{text}", "a".repeat(65)));
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), naive(&p, &t));
        }

        #[test]
        fn it_never_panics(pattern in any::<String>(), text in any::<String>()) {
            let _ = matches(&pattern, &text);
        }
    }
}
