"""A campaign: photos of two signs, in one folder that a training script loads with labels, under one budget.

    pip install firsthandapi
    FIRSTHAND_API_KEY=fh_test_… python examples/campaign.py

or, with no account, against `firsthandapi mock-server`, with the two variables that it prints. With a live key it
costs $3. Stop it and run it again, at any point: it orders nothing twice. Change the numbers and run it again: it
orders the difference.
"""

from firsthandapi import Campaign, FirstHandClient, FirstHandError

campaign = Campaign(
    dest="signs-by-kind",
    budget_cents=600,
    defaults={"accepted_formats": ["image/jpeg"], "price_per_file_cents": 50, "files_needed": 3},
    jobs={
        "stop": {"description": "Photos of stop signs in daylight, the sign filling most of the frame"},
        "yield": {"description": "Photos of yield signs in daylight, the sign filling most of the frame"},
    },
)

if __name__ == "__main__":
    try:
        with FirstHandClient() as client:
            print(client.campaigns.plan(campaign))
            dataset = client.campaigns.run(campaign)
    except FirstHandError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit("Stopped. Run it again: it continues the same jobs.") from None
    print(f"{len(dataset)} files in {dataset.path}")
