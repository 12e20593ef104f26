"""The real Milvus server that tests use: it answers, keeps its data over a crash, and can be held."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import pytest
from milvus_server import MilvusServer, version
from pymilvus import DataType, MilvusClient

SLOW_S = 30
"""For what a server is seldom asked: to make a collection takes it 3 s."""


@pytest.fixture
def client(milvus: MilvusServer) -> Iterator[MilvusClient]:
    client = MilvusClient(uri=f"http://{milvus.address}", timeout=5)
    yield client
    for name in client.list_collections(timeout=SLOW_S):
        client.drop_collection(name, timeout=SLOW_S)
    client.close()


def filled(client: MilvusClient, name: str) -> None:
    """A collection of three rows, on the disk of the server."""
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    index = client.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="IP")
    client.create_collection(name, schema=schema, index_params=index, timeout=SLOW_S)
    vectors = ([1.0, 0.0], [0.0, 1.0], [0.6, 0.8])
    client.insert(name, [{"id": row, "vector": vector} for row, vector in enumerate(vectors)], timeout=SLOW_S)
    client.flush(name, timeout=SLOW_S)


def nearest(client: MilvusClient, name: str, level: str = "Bounded") -> list[int]:
    """The rows of a collection by their nearness to (1, 0)."""
    hits = client.search(name, [[1.0, 0.0]], limit=3, consistency_level=level, timeout=2, retry_times=0)[0]
    return [hit["id"] for hit in hits]


def test_server_of_the_wheel_answers(client: MilvusClient) -> None:
    filled(client, "rows")
    assert client.get_server_version(timeout=2).startswith(f"v{version()}")
    assert nearest(client, "rows", "Strong") == [0, 2, 1]


def test_held_server_is_a_deadline_that_passes(client: MilvusClient, milvus: MilvusServer) -> None:
    filled(client, "rows")
    nearest(client, "rows", "Strong")
    milvus.hold()
    start = time.monotonic()
    try:
        with pytest.raises(grpc.RpcError) as raised:
            nearest(client, "rows")
    finally:
        milvus.go_on()
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - start < 4
    assert nearest(client, "rows", "Strong") == [0, 2, 1]
