//! Whether an error means that the context was too long for the model.
//!
//! Providers have no common code for it. The words are those of recorded answers (llama.cpp,
//! OpenRouter, Ollama, Vertex, Perplexity) and of the list in pi-ai (MIT).

/// Codes and types that mean it.
const CODES: [&str; 4] = [
    "context_length_exceeded",
    "exceed_context_size_error",
    "request_too_large",
    "too_many_prompt_tokens",
];

/// Words that mean it; of each entry all parts must occur, in that order. Lower case.
const PHRASES: [&[&str]; 22] = [
    &["exceeds the available context size"],
    &["maximum context length is"],
    &["exceeded max context length"],
    &["input token count", "exceeds the maximum"],
    &["prompt is too long"],
    &["prompt too long"],
    &["request_too_large"],
    &["exceeds the context window"],
    &["exceeds", "maximum context length"],
    &["context_length_exceeded"],
    &["maximum prompt length is"],
    &["reduce the length of the messages"],
    &["input", "is longer than the model's context length"],
    &["greater than the context length"],
    &["exceeds the limit of"],
    &["context window exceeds limit"],
    &["exceeded model token limit"],
    &["too large for model with", "maximum context length"],
    &["input is too long for requested model"],
    &["too_many_prompt_tokens"],
    &["context length exceeded"],
    &["too many tokens", "context"],
];

/// Words of rate limits that would match the above (Bedrock: "Too many tokens, please wait").
const NOT: [&str; 4] = ["throttling", "rate limit", "please wait", "per minute"];

pub(crate) fn is_overflow(words: &[&str], message: &str) -> bool {
    if words.iter().any(|word| CODES.contains(word)) {
        return true;
    }
    let message = message.to_lowercase();
    let says = |parts: &[&str]| {
        let mut rest = message.as_str();
        parts.iter().all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    };
    !NOT.iter().any(|word| message.contains(word)) && PHRASES.iter().any(|parts| says(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_says_it_in_its_own_words() {
        for message in [
            "prompt is too long: 210000 tokens > 200000 maximum",
            "Your input exceeds the context window of this model",
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens",
            "Please reduce the length of the messages or completion.",
            "The input (516368 tokens) is longer than the model's context length (262144 tokens).",
            "The number of tokens to keep is greater than the context length",
            "prompt token count of 135000 exceeds the limit of 128000",
            "invalid params, context window exceeds limit",
            "Your request exceeded model token limit: 262144",
            "Prompt contains 99 tokens, too large for model with 32 maximum context length",
            "Input is too long for requested model.",
        ] {
            assert!(is_overflow(&[], message), "{message}");
        }
        assert!(is_overflow(&["context_length_exceeded"], ""));
    }

    #[test]
    fn throttling_is_not_overflow() {
        for message in [
            "ThrottlingException: Too many tokens, please wait before trying again.",
            "Rate limit reached: input exceeds the limit of 30000 tokens per minute",
            "max_tokens must be at most 4096",
        ] {
            assert!(!is_overflow(&[], message), "{message}");
        }
    }
}
