"""Classify products in a co-purchase graph, with GraphSAGE and sampling on the server.

    python examples/products.py

Needs the extra `products`. The graph and the weights that come with Naiad are synthetic.
"""

import naiad

PRODUCTS = [17, 42, 99]


def main() -> None:
    """Print the two most probable categories of each product."""
    with naiad.serve("products") as server, server.client() as client:
        result = client.products.infer(PRODUCTS)
    for position, product in enumerate(PRODUCTS):
        print(product, result.top(position, k=2))


if __name__ == "__main__":
    main()
