//! Tokens and prices of chat completions, normalised.
//!
//! The names that providers use: OpenAI's, and where cached tokens are said elsewhere: DeepSeek
//! (`prompt_cache_hit_tokens`), Moonshot, Together and LongCat (`cached_tokens`), Mistral
//! (`num_cached_tokens`), Databricks (`cache_read_input_tokens`).

use crate::answer::{Cost, Usage};
use crate::json::{count, Node};

/// Reads a usage object. Missing numbers are 0, missing prices unknown.
pub(crate) fn chat(raw: &Node) -> Usage {
    let prompt = &raw["prompt_tokens_details"];
    let first = |found: &[Option<u64>]| found.iter().find_map(|it| *it);
    let input = count(raw, "prompt_tokens").unwrap_or(0);
    let output = count(raw, "completion_tokens").unwrap_or(0);
    let cache_read = first(&[
        count(raw, "cache_read_input_tokens"),
        count(prompt, "cached_tokens"),
        count(raw, "prompt_cache_hit_tokens"),
        count(raw, "cached_tokens"),
        count(raw, "num_cached_tokens"),
    ]);
    let cache_write = first(&[
        count(raw, "cache_creation_input_tokens"),
        count(prompt, "cache_write_tokens"),
    ]);
    Usage {
        input,
        output,
        cache_read: cache_read.unwrap_or(0),
        cache_write: cache_write.unwrap_or(0),
        total: count(raw, "total_tokens").unwrap_or(input + output),
        reasoning: first(&[
            count(&raw["completion_tokens_details"], "reasoning_tokens"),
            count(raw, "reasoning_tokens"),
        ]),
        cost: cost(raw),
    }
}

/// Reads prices as OpenRouter, Vercel, Perplexity and xAI send them.
pub(crate) fn cost(raw: &Node) -> Option<Cost> {
    let money = |value: &Node| value.as_f64().filter(|amount| amount.is_finite());
    let details = &raw["cost_details"];
    let input = money(&details["upstream_inference_prompt_cost"]);
    let output = money(&details["upstream_inference_completions_cost"]);
    let sum = match (input, output) {
        (None, None) => None,
        _ => Some(input.unwrap_or(0.0) + output.unwrap_or(0.0)),
    };
    let total = money(&details["upstream_inference_cost"])
        .or_else(|| money(&raw["cost"]))
        .or_else(|| money(&raw["cost"]["total_cost"]))
        // xAI's ticks are 1e-10 dollars.
        .or_else(|| money(&raw["cost_in_usd_ticks"]).map(|ticks| ticks / 1e10))
        .or(sum);
    let cost = Cost {
        input,
        output,
        total,
    };
    (cost != Cost::default()).then_some(cost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn odd_numbers_are_tolerated_and_unknown_prices_stay_unknown() {
        let usage = chat(&Node::from(
            json!({"prompt_tokens": 10.0, "completion_tokens": null, "total_tokens": "x",
            "prompt_tokens_details": null, "cost": null}),
        ));
        assert_eq!((usage.input, usage.output, usage.total), (10, 0, 10));
        assert_eq!((usage.cost, usage.reasoning), (None, None));
    }

    #[test]
    fn a_count_beyond_what_can_be_is_unknown_and_no_sum_overflows() {
        let huge = json!({"prompt_tokens": u64::MAX, "completion_tokens": 1u64 << 53});
        let usage = chat(&Node::from(huge));
        assert_eq!(usage.input, 0);
        assert_eq!((usage.output, usage.total), (1 << 53, 1 << 53));
    }

    #[test]
    fn the_upstream_price_comes_before_the_price_of_the_router() {
        let raw = json!({"cost": 0.5, "cost_details": {"upstream_inference_cost": null,
            "upstream_inference_prompt_cost": 0.1, "upstream_inference_completions_cost": 0.2}});
        let found = cost(&Node::from(raw)).expect("there is one");
        assert_eq!(
            (found.input, found.output, found.total),
            (Some(0.1), Some(0.2), Some(0.5))
        );
        assert_eq!(
            cost(&Node::from(json!({"cost": {"total_cost": 0.7}}))).and_then(|it| it.total),
            Some(0.7)
        );
    }

    #[test]
    fn ticks_are_what_recorded_tokens_cost_at_the_list_price() {
        // grok-3-mini: 0.30, 0.075 and 0.50 dollars per million in, cached and out.
        let listed = (1.0 * 0.30 + 11.0 * 0.075 + 291.0 * 0.50) / 1e6;
        let told = cost(&Node::from(json!({"cost_in_usd_ticks": 1_466_250})));
        let told = told.and_then(|it| it.total).expect("there is one");
        assert!((told - listed).abs() < 1e-12, "{told} {listed}");
    }
}
