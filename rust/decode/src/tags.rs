//! Reasoning inside the text, between `<think>` and `</think>`, wherever the chunks are cut.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Splits text at the tags. Holds back what may be the beginning of one.
#[derive(Default)]
pub(crate) struct Tags {
    inside: bool,
    held: String,
}

impl Tags {
    /// Gives the parts of *text* to *part*, and whether each is reasoning.
    pub fn feed(&mut self, text: &str, mut part: impl FnMut(&str, bool)) {
        let mut all = std::mem::take(&mut self.held);
        all.push_str(text);
        let mut rest = all.as_str();
        loop {
            let tag = if self.inside { CLOSE } else { OPEN };
            if let Some(at) = rest.find(tag) {
                part(&rest[..at], self.inside);
                rest = &rest[at + tag.len()..];
                self.inside = !self.inside;
            } else {
                let held = (1..tag.len())
                    .rev()
                    .find(|&length| rest.ends_with(&tag[..length]))
                    .unwrap_or(0);
                part(&rest[..rest.len() - held], self.inside);
                self.held = rest[rest.len() - held..].to_owned();
                return;
            }
        }
    }

    /// Half a tag at the very end stays what it is: text, or reasoning.
    pub fn finish(&mut self, mut part: impl FnMut(&str, bool)) {
        part(&std::mem::take(&mut self.held), self.inside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&str]) -> (String, String) {
        let mut tags = Tags::default();
        let (mut text, mut thinking) = (String::new(), String::new());
        let mut part = |words: &str, reasoning: bool| {
            if reasoning { &mut thinking } else { &mut text }.push_str(words);
        };
        for chunk in chunks {
            tags.feed(chunk, &mut part);
        }
        tags.finish(&mut part);
        (text, thinking)
    }

    #[test]
    fn half_a_tag_at_the_end_and_a_missing_end_tag() {
        assert_eq!(split(&["a<th"]), ("a<th".into(), String::new()));
        assert_eq!(split(&["<think>a</thi"]), (String::new(), "a</thi".into()));
        assert_eq!(
            split(&["<th", "ink>a</", "think>b"]),
            ("b".into(), "a".into())
        );
        assert_eq!(split(&["<<think>x"]), ("<".into(), "x".into()));
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(words in prop::collection::vec(
            prop::sample::select(vec!["<think>", "</think>", "<", "</", "thi", "é", "x>"]), 0..12)) {
            let whole = words.concat();
            let letters: Vec<String> = whole.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            prop_assert_eq!(split(&letters), split(&[&whole]));
        }
    }
}
