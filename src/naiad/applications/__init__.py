"""The applications that come with Naiad, by name; each is one folder beside this file."""

from __future__ import annotations

from typing import Any, Final

from naiad.application import Application


def _declared(name: str, **attributes: Any) -> type[Application]:
    return type(name, (Application,), {"name": name, **attributes})


BUILT_IN: Final[tuple[type[Application], ...]] = (
    _declared(
        name="nugraph3",
        model="nugraph3",
        summary="semantic labels, event class and vertex of a neutrino event in a LArTPC",
        pipeline="naiad.applications.nugraph.pipeline:NuGraph3",
        client="naiad.applications.nugraph.client:NuGraph3Client",
        cli="naiad.applications.nugraph.cli",
        requests="naiad.applications.nugraph.events:read_requests",
        simulated="naiad.applications.nugraph.simulate:simulated_requests",
        bulk="naiad.applications.nugraph.bulk:NuGraph3Bulk",
        demos={"nugraph3": "naiad.applications.nugraph.demo:run"},
        packages=("scipy", "safetensors"),
    ),
    _declared(
        name="image",
        model="image",
        summary="what is on JPEG and PNG images, by any ONNX or TorchScript classifier",
        pipeline="naiad.applications.image.pipeline:ImageClassifier",
        client="naiad.applications.image.client:ImageClient",
        cli="naiad.applications.image.cli",
        requests="naiad.applications.image.files:read_requests",
        simulated="naiad.applications.image.shapes:simulated_requests",
        bulk="naiad.applications.image.bulk:ImageBulk",
        packages=("torch", "PIL", "safetensors"),
    ),
    _declared(
        name="inception_graphdef",
        model="inception_graphdef",
        summary="the same classifiers under the contract of Triton's image clients",
        pipeline="naiad.applications.image.inception:InceptionGraphDef",
        packages=("torch", "safetensors"),
        on_request=True,
    ),
    _declared(
        name="movies_similar",
        model="movies_similar",
        summary="films like a film, from a graph store on the server",
        pipeline="naiad.applications.movies.pipeline:MoviesSimilar",
        client="naiad.applications.movies.client:SimilarClient",
        cli="naiad.applications.movies.cli",
        requests="naiad.applications.movies.requests:similar_requests",
        demos={"movies": "naiad.applications.movies.demo:run"},
        packages=("ladybug", "rapidfuzz"),
        on_request=True,
    ),
    _declared(
        name="movies_search",
        model="movies_search",
        summary="films that fit a description in words",
        pipeline="naiad.applications.movies.pipeline:MoviesSearch",
        client="naiad.applications.movies.client:SearchClient",
        cli="naiad.applications.movies.cli",
        requests="naiad.applications.movies.requests:search_requests",
        packages=("ladybug", "rapidfuzz", "tokenizers", "onnxruntime"),
        on_request=True,
    ),
    _declared(
        name="movies_recommend",
        model="movies_recommend",
        summary="films for a user, by ratings, graph and descriptions, with reasons",
        pipeline="naiad.applications.movies.pipeline:MoviesRecommend",
        client="naiad.applications.movies.client:RecommendClient",
        cli="naiad.applications.movies.cli",
        requests="naiad.applications.movies.requests:recommend_requests",
        packages=("ladybug", "rapidfuzz"),
        on_request=True,
    ),
    _declared(
        name="products",
        model="products",
        summary="category of each product in a co-purchase graph, and its embeddings, by GraphSAGE",
        pipeline="naiad.applications.products.pipeline:Products",
        client="naiad.applications.products.client:ProductsClient",
        cli="naiad.applications.products.cli",
        simulated="naiad.applications.products.simulate:simulated_requests",
        demos={"products": "naiad.applications.products.demo:run"},
        packages=("torch", "scipy", "safetensors"),
        on_request=True,
    ),
    _declared(
        name="products_recommend",
        model="products_recommend",
        summary="what is bought together with a basket of products, from a graph store",
        pipeline="naiad.applications.products.recommend_pipeline:ProductsRecommend",
        requests="naiad.applications.products.baskets:read_requests",
        packages=("ladybug", "pyarrow"),
        on_request=True,
    ),
    _declared(
        name="graph_embeddings",
        model="graph_embeddings",
        summary="the same network under the contract of a public GraphSAGE example",
        pipeline="naiad.applications.products.contract:GraphEmbeddings",
        packages=("torch", "safetensors"),
        on_request=True,
    ),
    _declared(
        name="bundle",
        model="bundle",
        summary="label maps and classes of medical scans, by any MONAI bundle",
        pipeline="naiad.applications.medical.bundle.pipeline:Bundle",
        cli="naiad.applications.medical.bundle.cli",
        packages=("torch", "monai", "nibabel", "isal", "PIL"),
        on_request=True,
    ),
)
