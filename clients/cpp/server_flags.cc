#include "clients/cpp/server_flags.h"

#include <utility>

namespace parley::client {

CLI::Validator Valid(NumberCheck check) {
  return CLI::Validator(std::move(check.fault), std::move(check.range));
}

void AddServerFlags(CLI::App& app, ChannelOptions& channel) {
  app.add_option("--server", channel.server, "Where the server is; unix:PATH: at a socket file")
      ->type_name("HOST:PORT")
      ->capture_default_str()
      ->group("Server");
  app.add_flag("--tls", channel.tls, "Use TLS, with the system's certificates")->group("Server");
  app.add_option("--tls-ca", channel.tls_ca_file, "Use TLS, with the certificates of this PEM file")
      ->type_name("FILE")
      ->group("Server");
  app.add_option("--tls-server-name", channel.tls_server_name,
                 "The name in the server's certificate, where it is not the host")
      ->type_name("NAME")
      ->group("Server");
}

}  // namespace parley::client
