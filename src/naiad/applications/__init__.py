"""The applications that come with Naiad, by name; each is one folder beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True, slots=True)
class Application:
    """Where an application's parts are, as import paths, so that nothing heavy is imported early.

    Attributes:
        name: what one types: ``naiad serve NAME``.
        model: the model's name on the server, which existing clients may have fixed.
        summary: one line for lists and ``--help``.
        pipeline: ``module:Class`` of the Pipeline.
        client: ``module:Class`` of the typed client, which takes a ``naiad.client.ModelClient``.
        cli: the module with the application's own commands.
        network: ``module:function`` that makes the model, a torch module, from a folder of weights;
            where the model alone is all that is served.
        requests: ``module:function`` that reads the requests in a file of the application's data.
        simulated: ``module:function`` that makes so many requests, from a seed, whose sizes are
            those of real ones.
        bulk: ``module:Class`` that says how ``naiad process`` works on its files; see
            :mod:`naiad.bulk.application`.
        demo: ``module:function`` that shows sample requests on a server of its own, its files in a
            folder: ``naiad demo``; the name there is that of the application's folder.
        packages: what must be importable where it is served.
        arguments: of ``naiad infer NAME``, as an example.
        on_request: it is served only when it is named: one machine has no room for all.
    """

    name: str
    model: str
    summary: str
    pipeline: str
    client: str | None = None
    cli: str | None = None
    network: str | None = None
    requests: str | None = None
    simulated: str | None = None
    bulk: str | None = None
    demo: str | None = None
    packages: tuple[str, ...] = ()
    arguments: str = "FILE"
    on_request: bool = False

    def installed(self) -> bool:
        """Whether what it needs is installed; nothing is imported to find out."""
        return all(find_spec(package) is not None for package in self.packages)


_APPLICATIONS = (
    Application(
        name="nugraph3",
        model="nugraph3",
        summary="semantic labels, event class and vertex of a neutrino event in a LArTPC",
        pipeline="naiad.applications.nugraph.pipeline:NuGraph3",
        client="naiad.applications.nugraph.client:NuGraph3Client",
        cli="naiad.applications.nugraph.cli",
        requests="naiad.applications.nugraph.events:read_requests",
        simulated="naiad.applications.nugraph.simulate:simulated_requests",
        bulk="naiad.applications.nugraph.bulk:NuGraph3Bulk",
        demo="naiad.applications.nugraph.demo:run",
        packages=("scipy", "safetensors"),
    ),
    Application(
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
    Application(
        name="inception_graphdef",
        model="inception_graphdef",
        summary="the same classifiers under the contract of Triton's image clients",
        pipeline="naiad.applications.image.inception:InceptionGraphDef",
        packages=("torch", "safetensors"),
        on_request=True,
    ),
    Application(
        name="gat",
        model="gat_test",
        summary="topic of each paper in a citation graph, by graph attention",
        pipeline="naiad.applications.gat.pipeline:Gat",
        client="naiad.applications.gat.client:GatClient",
        cli="naiad.applications.gat.cli",
        network="naiad.applications.gat.weights:network",
        requests="naiad.applications.gat.graphs:read_requests",
        simulated="naiad.applications.gat.simulate:simulated_requests",
        packages=("torch", "safetensors"),
    ),
    Application(
        name="zero_shot",
        model="zero_shot",
        summary="which of some labels fit a text, without training",
        pipeline="naiad.applications.text.zero_shot.pipeline:ZeroShot",
        client="naiad.applications.text.zero_shot.client:ZeroShotClient",
        cli="naiad.applications.text.zero_shot.cli",
        requests="naiad.applications.text.zero_shot.requests:read_requests",
        simulated="naiad.applications.text.zero_shot.requests:simulated_requests",
        demo="naiad.applications.text.zero_shot.demo:run",
        packages=("tokenizers", "onnxruntime"),
        arguments='"Who are you voting for?" --labels business,science,politics',
        on_request=True,
    ),
    Application(
        name="text_embedding",
        model="text_embedding",
        summary="a vector per text, such that like texts have like vectors",
        pipeline="naiad.applications.text.embedding.pipeline:TextEmbedding",
        client="naiad.applications.text.embedding.client:TextEmbeddingClient",
        cli="naiad.applications.text.embedding.cli",
        requests="naiad.applications.text.embedding.files:read_requests",
        simulated="naiad.applications.text.embedding.simulate:simulated_requests",
        packages=("tokenizers", "onnxruntime"),
        arguments='"a heist in space" "robbers on a rocket"',
        on_request=True,
    ),
    Application(
        name="sentence_bert",
        model="sentence_bert",
        summary="the same encoder for clients that send token ids",
        pipeline="naiad.applications.text.embedding.pipeline:SentenceBert",
        packages=("tokenizers", "onnxruntime"),
        on_request=True,
    ),
    Application(
        name="deepset",
        model="deepset",
        summary="the same encoder for clients that send token ids, under another name",
        pipeline="naiad.applications.text.embedding.pipeline:Deepset",
        packages=("tokenizers", "onnxruntime"),
        on_request=True,
    ),
    Application(
        name="movies_similar",
        model="movies_similar",
        summary="films like a film, from a graph store on the server",
        pipeline="naiad.applications.movies.pipeline:MoviesSimilar",
        client="naiad.applications.movies.client:SimilarClient",
        cli="naiad.applications.movies.cli",
        requests="naiad.applications.movies.requests:similar_requests",
        demo="naiad.applications.movies.demo:run",
        packages=("ladybug", "rapidfuzz"),
        on_request=True,
    ),
    Application(
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
    Application(
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
    Application(
        name="products",
        model="products",
        summary="category of each product in a co-purchase graph, and its embeddings, by GraphSAGE",
        pipeline="naiad.applications.products.pipeline:Products",
        client="naiad.applications.products.client:ProductsClient",
        cli="naiad.applications.products.cli",
        simulated="naiad.applications.products.simulate:simulated_requests",
        demo="naiad.applications.products.demo:run",
        packages=("torch", "scipy", "safetensors"),
        on_request=True,
    ),
    Application(
        name="products_recommend",
        model="products_recommend",
        summary="what is bought together with a basket of products, from a graph store",
        pipeline="naiad.applications.products.recommend_pipeline:ProductsRecommend",
        requests="naiad.applications.products.baskets:read_requests",
        packages=("ladybug", "pyarrow"),
        on_request=True,
    ),
    Application(
        name="graph_embeddings",
        model="graph_embeddings",
        summary="the same network under the contract of a public GraphSAGE example",
        pipeline="naiad.applications.products.contract:GraphEmbeddings",
        packages=("torch", "safetensors"),
        on_request=True,
    ),
    Application(
        name="covid_ct",
        model="monai_covid",
        summary="COVID-19 on chest CT: NIfTI volumes in, as MONAI's tutorial serves it",
        pipeline="naiad.applications.medical.covid_ct.pipeline:CovidCt",
        client="naiad.applications.medical.covid_ct.client:CovidCtClient",
        cli="naiad.applications.medical.covid_ct.cli",
        requests="naiad.applications.medical.covid_ct.files:read_requests",
        simulated="naiad.applications.medical.covid_ct.phantoms:simulated_requests",
        packages=("torch", "nibabel", "isal", "safetensors"),
        on_request=True,
    ),
    Application(
        name="mednist",
        model="mednist_class",
        summary="which of six kinds medical images are, as MONAI's tutorial serves it",
        pipeline="naiad.applications.medical.mednist.pipeline:MedNist",
        client="naiad.applications.medical.mednist.client:MedNistClient",
        cli="naiad.applications.medical.mednist.cli",
        requests="naiad.applications.medical.mednist.files:read_requests",
        simulated="naiad.applications.medical.mednist.phantoms:simulated_requests",
        packages=("torch", "PIL", "safetensors"),
        on_request=True,
    ),
    Application(
        name="bundle",
        model="bundle",
        summary="label maps and classes of medical scans, by any MONAI bundle",
        pipeline="naiad.applications.medical.bundle.pipeline:Bundle",
        cli="naiad.applications.medical.bundle.cli",
        packages=("torch", "monai", "nibabel", "isal", "PIL"),
        on_request=True,
    ),
    Application(
        name="simple",
        model="simple",
        summary="sum and difference of integers: Triton's example, to try an engine",
        pipeline="naiad.applications.simple.pipeline:Simple",
    ),
)


def applications() -> tuple[Application, ...]:
    """All built-in applications."""
    return _APPLICATIONS


def demos() -> dict[str, str]:
    """The ``module:function`` of each demo by its name, that of the application's folder."""
    names = {"nugraph": "nugraph3"}
    folders = {app.demo.split(".")[-2]: app.demo for app in _APPLICATIONS if app.demo is not None}
    return {names.get(folder, folder): demo for folder, demo in folders.items()}


def application(name: str) -> Application | None:
    """The built-in application of that name, or which serves the model of that name, or None."""
    return next((app for app in _APPLICATIONS if name in (app.name, app.model)), None)


def application_of(spec: str) -> Application | None:
    """The built-in application whose pipeline a spec of its module is, or None."""
    module = spec.partition(":")[0]
    return next((a for a in _APPLICATIONS if a.pipeline.partition(":")[0] == module), None)
