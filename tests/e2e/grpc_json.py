#!/usr/bin/python3
"""What README.md asks of grpcurl, with Debian's python3-grpcio: the same arguments, the contract read from the server by
reflection, messages as JSON.

  grpc_json.py -plaintext [-d 'JSON JSON ...'] ADDRESS list | SERVICE/METHOD
"""

import json
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def reflection_messages():
    """ServerReflectionRequest and ServerReflectionResponse, as much of them as is asked here."""
    file = descriptor_pb2.FileDescriptorProto(name="reflection.proto", package="grpc.reflection.v1alpha", syntax="proto3")

    def message(name, *fields):
        to = file.message_type.add(name=name)
        for number, field, kind, repeated in fields:
            given = to.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in ("string", "bytes"):
                given.type = {"string": 9, "bytes": 12}[kind]
            else:
                given.type, given.type_name = 11, f".grpc.reflection.v1alpha.{kind}"

    message("ServerReflectionRequest", (4, "file_containing_symbol", "string", False), (7, "list_services", "string", False))
    message("FileDescriptorResponse", (1, "file_descriptor_proto", "bytes", True))
    message("ServiceResponse", (1, "name", "string", False))
    message("ListServiceResponse", (1, "service", "ServiceResponse", True))
    message("ServerReflectionResponse", (4, "file_descriptor_response", "FileDescriptorResponse", False),
            (6, "list_services_response", "ListServiceResponse", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName(f"grpc.reflection.v1alpha.ServerReflection{name}"))
            for name in ("Request", "Response")]


def reflect(channel, **question):
    request, response = reflection_messages()
    ask = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                request_serializer=request.SerializeToString, response_deserializer=response.FromString)
    return next(ask(iter([request(**question)])))


def contract_of(channel, symbol):
    answer = reflect(channel, file_containing_symbol=symbol).file_descriptor_response.file_descriptor_proto
    files = {file.name: file for file in map(descriptor_pb2.FileDescriptorProto.FromString, answer)}
    pool = descriptor_pool.DescriptorPool()

    def add(name):
        if name in files:
            file = files.pop(name)
            for dependency in file.dependency:
                add(dependency)
            pool.Add(file)

    for name in list(files):
        add(name)
    return pool


def values(text):
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value
        while at < len(text) and text[at].isspace():
            at += 1


def main(arguments):
    data = "{}"
    while arguments[0].startswith("-"):
        flag = arguments.pop(0)
        if flag == "-d":
            data = arguments.pop(0)
        elif flag != "-plaintext":
            sys.exit(f"grpc_json.py: unknown flag {flag}")
    address, what = arguments
    with grpc.insecure_channel(address) as channel:
        if what == "list":
            for service in reflect(channel, list_services="*").list_services_response.service:
                print(service.name)
            return
        service, name = what.split("/")
        pool = contract_of(channel, service)
        method = pool.FindServiceByName(service).methods_by_name[name]
        factory = message_factory.MessageFactory(pool)
        request, response = factory.GetPrototype(method.input_type), factory.GetPrototype(method.output_type)
        # Over the wire a stream of one message is the same as the message.
        call = channel.stream_stream(f"/{what}", request_serializer=request.SerializeToString,
                                     response_deserializer=response.FromString)
        for message in call((json_format.ParseDict(value, request()) for value in values(data)), timeout=60):
            print(json.dumps(json_format.MessageToDict(message)))


if __name__ == "__main__":
    main(sys.argv[1:])
