"""What one reply costs, by the price list that genai-prices ships. Nothing is fetched."""

from collections.abc import Sequence

import genai_prices

from agent.records import JsonObject


def cost_usd(metered: Sequence[JsonObject]) -> float | None:
    """Return the dollars of some requests, each as `{"model", "usage"}` in the Messages API's own words.

    None means that a price is not known, and never that the reply was free. Each request is priced by itself,
    because some models cost more per token above a certain length of prompt.
    """
    try:
        return float(
            sum(
                genai_prices.extract_usage(request, provider_id="anthropic").calc_price().total_price
                for request in metered
            )
        )
    except (LookupError, ValueError):  # an unknown model; usage that no price list can read
        return None
