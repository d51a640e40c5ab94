"""What the cards say of each published data set, and the golden texts, which we wrote."""

from __future__ import annotations

from dataclasses import dataclass

from scorer.card import Label


@dataclass(frozen=True)
class DataSet:
    title: str
    hub: tuple[str, ...]  # its name on the Hugging Face hub, if it has one
    about: str
    model_licence: str
    text_columns: tuple[str, ...]
    label_columns: tuple[str, ...]
    labels: tuple[Label, ...]
    use: str
    limits: tuple[str, ...]
    golden: tuple[str, ...]
    test: str = ""  # its official test part, in words
    limits_alone: tuple[str, ...] = ()  # of models that read the text alone


# No score, unknown words alone, longer than any limit, beyond ASCII.
_AWKWARD = (
    "",
    "   \t ...!?",
    "zxqv qqwj wvvk",
    "It goes " + "on and on " * 210 + "and in the end it is good.",
    "Ça va très bien — ÜBER-gut, señor; 日本語 の 映画 🎬 naïve café",
    "word",
)

_REVIEWS = (
    "A warm, funny and beautifully acted story; I would gladly see it again.",
    "Dull from the first minute to the last. The plot makes no sense and the acting is awful.",
    "It was not bad, but I would not call it good either!",
    "I expected little and got less: a waste of two hours.<br /><br />Avoid.",
    "The first half drags, yet the ending is so moving that I forgive it everything. 9/10",
    "Not the masterpiece they promised, though the camera work is superb and the music lovely.",
)
_PRODUCTS = (
    "Works exactly as described and arrived a day early. Would buy again!",
    "Stopped charging after two weeks and nobody answers my emails.",
    "It is okay for the price, nothing special.",
    "good app",
)
_WINES = (
    "Ripe black cherry and cedar on the nose; firm tannins carry a long, elegant finish.",
    "Simple and watery, with green, bitter flavors and little fruit.",
    "Crisp lime, wet stone and white flowers. Drink now through the summer.",
    "Dense and brooding, with layers of cassis, tobacco and graphite; it will age for decades.",
)
_TWEETS = (
    "Just finished the new season and I absolutely love it, best game this year!",
    "Servers are down AGAIN. Fix your broken game already, this is ridiculous.",
    "The update comes out on Tuesday at 6 pm on all platforms.",
    "my phone arrived with a cracked screen and support will not answer me",
    "@friend look at this https://example.com #gaming lol",
)

_SENTIMENT = (
    Label(name="negative", aliases=("neg", "0", "false")),
    Label(name="positive", aliases=("pos", "1", "true")),
)

DATASETS = {
    "imdb": DataSet(
        title="Large Movie Review Dataset (IMDB)",
        hub=("stanfordnlp/imdb",),
        about=(
            "The Large Movie Review Dataset of Maas et al. (2011), official split: 25,000 reviews "
            "to train on and 25,000 to test on, half of them positive (7 to 10 stars) and half "
            "negative (1 to 4 stars). It was published for research and states no licence; the "
            "reviews belong to their authors. None of them is part of this bundle, which holds "
            "a vocabulary and weights. No film is in both halves, and up to 30 reviews share a "
            "film, so the validation part is split by film: a random one flatters a network "
            "by about two points."
        ),
        model_licence="apache-2.0",
        text_columns=("text", "review", "content", "body"),
        label_columns=("sentiment", "label"),
        labels=_SENTIMENT,
        use="Positive or negative opinion in English film reviews of some sentences or more.",
        limits=(
            "Trained on film reviews with a clear opinion: it has never seen a neutral one, and "
            "accuracy falls on other subjects, on single sentences and on later years' language.",
            "English only. Words outside the vocabulary all look the same to it.",
            "Punctuation is deleted where it stands, so a word glued to a line break tag is lost, "
            "and so are emoticons.",
        ),
        golden=(*_REVIEWS, *_AWKWARD),
        test="the official IMDB test rows",
    ),
    "reviews": DataSet(
        title="Reviews of sixteen domains",
        hub=(),
        about=(
            "245,734 English reviews of sixteen domains with stars or a verdict, gathered from "
            "public copies of Amazon, Yelp, Steam, Google Play, App Store, Rotten Tomatoes, "
            "TripAdvisor, Booking.com, Glassdoor, Coursera, Flipkart and other reviews: 1 and 2 "
            "stars are negative, 4 and 5 positive, 3 left out. Most copies state no licence, so "
            "their use is for research; the reviews belong to their authors. With them the "
            "training part of the Large Movie Review Dataset (Maas et al. 2011). No review is "
            "part of this bundle, which holds a vocabulary and weights."
        ),
        model_licence="apache-2.0",
        text_columns=("text", "review", "content", "body"),
        label_columns=("sentiment", "label", "stars", "rating"),
        labels=_SENTIMENT,
        use="Positive or negative opinion in English reviews of products, services and media.",
        limits=(
            "Most of the training reviews are positive, as most published reviews are.",
            "English only. Words outside the vocabulary all look the same to the LSTM.",
        ),
        golden=(*_REVIEWS, *_PRODUCTS, *_AWKWARD),
    ),
    "reviews-3class": DataSet(
        title="Reviews of sixteen domains",
        hub=(),
        about=(
            "English reviews of fourteen domains whose sources have three-star reviews, gathered "
            "from public copies (Amazon, Yelp, Google Play, App Store, TripAdvisor, Booking.com, "
            "Glassdoor, Coursera, Flipkart and others): 1 and 2 stars are negative, 3 neutral, 4 "
            "and 5 positive. Most copies state no licence, so their use is for research; the "
            "reviews belong to their authors. None is part of this bundle, which holds a "
            "vocabulary and weights."
        ),
        model_licence="apache-2.0",
        text_columns=("text", "review", "content", "body"),
        label_columns=("sentiment", "label", "stars", "rating"),
        labels=(
            Label(name="negative", aliases=("neg", "-1")),
            Label(name="neutral", aliases=("neu", "0")),
            Label(name="positive", aliases=("pos", "1")),
        ),
        use="Negative, neutral or positive opinion in English reviews of products and services.",
        limits=(
            "Three stars are a weak label: many such reviews read as positive or as negative, so "
            "the neutral class is by far the hardest.",
            "English only. Words outside the vocabulary all look the same to the LSTM.",
        ),
        golden=(*_REVIEWS, *_PRODUCTS, *_AWKWARD),
    ),
    "posts": DataSet(
        title="Social-media posts of ten sources",
        hub=(),
        about=(
            "89,034 English posts that people labelled negative, neutral or positive: SemEval "
            "2013 to 2016 task 4A, sets of CrowdFlower, the Sanders corpus, STS-Gold and the "
            "tweets of Hutto and Gilbert (2014). The posts belong to their authors. None is part "
            "of this bundle, which holds a vocabulary and weights."
        ),
        model_licence="apache-2.0",
        text_columns=("text", "tweet", "content", "post"),
        label_columns=("sentiment", "label"),
        labels=(
            Label(name="negative", aliases=("neg", "-1")),
            Label(name="neutral", aliases=("neu", "0")),
            Label(name="positive", aliases=("pos", "1")),
        ),
        use="Negative, neutral or positive tone of English social-media posts on any subject.",
        limits=(
            "Sources differ in what they call neutral, and so will yours: evaluate on some "
            "hundred labelled posts of your own first.",
            "Posts of 2009 to 2016: later words and emoji are known only by their characters.",
        ),
        golden=(*_TWEETS, *_AWKWARD),
    ),
    "wine": DataSet(
        title="Wine Reviews",
        hub=(),
        about=(
            "WineEnthusiast reviews with 80 to 100 points, as published on Kaggle (zynicide/"
            "wine-reviews) under CC BY-NC-SA 4.0, gathered from partial copies, one row for each "
            "distinct description. Only the 37,057 rows of the natural distribution are used: "
            "rows that were chosen for a high score, scraped from the top of a list, or that "
            "state their score in the text are left out."
        ),
        model_licence="cc-by-nc-sa-4.0",
        text_columns=("description", "text", "review"),
        label_columns=("points", "score", "rating"),
        labels=(),
        use="Estimating the points that a professional taster's English note goes with.",
        limits=(
            "One publication's tasters and their scale: nearly all scores lie between 82 and 96, "
            "and estimates are drawn towards the middle.",
            "The data's licence forbids commercial use, and so does this bundle's.",
        ),
        golden=(*_WINES, *_AWKWARD),
        limits_alone=(
            "It reads the note, not the wine: praise in the same words scores alike at any price.",
        ),
    ),
    "twitter": DataSet(
        title="Twitter Entity Sentiment Analysis",
        hub=(),
        about=(
            "The training file of Kaggle's jp797498e/twitter-entity-sentiment-analysis without "
            "its class Irrelevant. It holds some 9,300 tweets in about six rewrites each, which "
            "share an id and a label; the tweets belong to their authors, and Kaggle's page "
            "states the terms of the file. A random split puts rewrites of one tweet on both "
            "sides, so the usual random figure measures memory more than understanding."
        ),
        model_licence="apache-2.0",
        text_columns=("text", "tweet", "content"),
        label_columns=("sentiment", "label"),
        labels=(
            Label(name="Negative", aliases=("neg", "-1")),
            Label(name="Neutral", aliases=("neu", "0")),
            Label(name="Positive", aliases=("pos", "1")),
        ),
        use="Negative, neutral or positive tone of English posts about brands and games.",
        limits=(
            "About 32 brands and games of around 2020; it knows little of others.",
            "On posts that it has not met in another wording it is far weaker than the random "
            "split says; expect the figure by id.",
            "The data's labels contradict each other on some texts.",
        ),
        golden=(*_TWEETS, *_AWKWARD),
        test=(
            "the published validation file without Irrelevant, whose tweets are all in the "
            "training file in other wordings and half of them word for word"
        ),
        limits_alone=(
            "The entity asked about is not told to the network: a post that praises one and "
            "blames another has one label.",
        ),
    ),
}  # fmt: skip

_FILMS: dict[str, object] = {
    "intended_for": "film reviews",
    "not_for": "Tweets, single sentences, other products.",
}
_NOTES: dict[str, object] = {
    "intended_for": "wine notes",
    "not_for": "Anything but a taster's note of a wine.",
}
_BRANDS: dict[str, object] = {
    "intended_for": "posts on games, brands",
    "not_for": "Posts on other subjects: take posts-flagship.",
}
#: the fields of each card that say what its model is for
USES: dict[str, dict[str, object]] = {
    "reviews-flagship": {
        "intended_for": "any review",
        "not_for": "Posts without an opinion of something used, seen or visited.",
        "recommended": True,
    },
    "reviews-3class": {
        "intended_for": "reviews, with neutral",
        "not_for": "Reviews that are surely positive or negative: take reviews-flagship.",
    },
    "posts-flagship": {
        "intended_for": "posts",
        "not_for": "Reviews of some sentences or more.",
        "recommended": True,
    },
    "imdb-flagship": {**_FILMS, "recommended": True},
    "wine-flagship": {**_NOTES, "recommended": True},
    "wine-lstm": _NOTES,
    "twitter-flagship": {**_BRANDS, "recommended": True},
    "twitter-lstm": _BRANDS,
    **{
        f"imdb-{name}": _FILMS
        for name in (
            "bilstm", "bilstm-glove", "bilstm-glove-frozen", "bilstm-small", "bilstm-wide",
            "bow-lr", "cnn", "deep-bilstm", "lstm", "lstm-glove", "lstm-glove-frozen",
            "lstm-sgd", "lstm-small", "stacked-bilstm", "tfidf-lr",
        )
    },
}  # fmt: skip
