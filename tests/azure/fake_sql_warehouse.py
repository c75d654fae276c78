"""A SQL warehouse on a local socket, for the real databricks-sql-connector: each statement's answer is the number 1.

What is faithful: Thrift over HTTP as the connector speaks it, with its own generated code. It is there for what comes
with each request: the token.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa
from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
from thrift.protocol.TBinaryProtocol import TBinaryProtocol  # type: ignore[import-untyped]
from thrift.transport.TTransport import TMemoryBuffer  # type: ignore[import-untyped]

_WELL = ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS)
_ID = ttypes.THandleIdentifier(guid=b"0123456789abcdef", secret=b"0123456789abcdef")
_ONE = pa.record_batch({"one": pa.array([1], pa.int32())})


class FakeSqlWarehouse:
    """The warehouse. ``tokens`` are those of all requests, in order; ``lets_in`` says of each whether it is good."""

    def __init__(self, lets_in: Callable[[str], bool]) -> None:
        self.lets_in = lets_in
        self.tokens: list[str] = []
        self.processor = TCLIService.Processor(_Service())
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "FakeSqlWarehouse":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        """Where it is: the connector's ``_connection_uri``, since by host and path it speaks TLS only."""
        return f"http://127.0.0.1:{self._server.server_port}/sql/1.0/warehouses/abc123"


class _Service:
    def OpenSession(self, request: Any) -> Any:
        version = ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7
        return ttypes.TOpenSessionResp(
            status=_WELL,
            serverProtocolVersion=version,
            sessionHandle=ttypes.TSessionHandle(sessionId=_ID),
            initialNamespace=request.initialNamespace,
            canUseMultipleCatalogs=True,
        )

    def ExecuteStatement(self, request: Any) -> Any:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, _ONE.schema) as stream:
            stream.write_batch(_ONE)
        schema, batch = _ONE.schema.serialize().to_pybytes(), sink.getvalue().to_pybytes()
        entry = ttypes.TTypeEntry(primitiveEntry=ttypes.TPrimitiveTypeEntry(type=ttypes.TTypeId.INT_TYPE))
        column = ttypes.TColumnDesc("one", ttypes.TTypeDesc([entry]), position=1)
        metadata = ttypes.TGetResultSetMetadataResp(
            status=_WELL,
            schema=ttypes.TTableSchema([column]),
            resultFormat=ttypes.TSparkRowSetType.ARROW_BASED_SET,
            arrowSchema=schema,
        )
        # The connector puts the schema before the batch itself.
        arrow = ttypes.TSparkArrowBatch(batch=batch[len(schema) :], rowCount=1)
        rows = ttypes.TRowSet(startRowOffset=0, rows=[], arrowBatches=[arrow])
        finished = ttypes.TOperationState.FINISHED_STATE
        return ttypes.TExecuteStatementResp(
            status=_WELL,
            operationHandle=ttypes.TOperationHandle(
                operationId=_ID, operationType=ttypes.TOperationType.EXECUTE_STATEMENT, hasResultSet=True
            ),
            directResults=ttypes.TSparkDirectResults(
                operationStatus=ttypes.TGetOperationStatusResp(status=_WELL, operationState=finished),
                resultSetMetadata=metadata,
                resultSet=ttypes.TFetchResultsResp(status=_WELL, hasMoreRows=False, results=rows),
                closeOperation=ttypes.TCloseOperationResp(status=_WELL),
            ),
        )

    def CloseSession(self, request: Any) -> Any:
        return ttypes.TCloseSessionResp(status=_WELL)


def _handler(fake: FakeSqlWarehouse) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            fake.tokens.append(token)
            answer = TMemoryBuffer()
            good = fake.lets_in(token)
            if good:
                fake.processor.process(TBinaryProtocol(TMemoryBuffer(body)), TBinaryProtocol(answer))
            data = answer.getvalue()
            self.send_response(200 if good else 403)
            self.send_header("Content-Type", "application/x-thrift")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Nothing: what matters is in ``tokens``."""

    return Handler
