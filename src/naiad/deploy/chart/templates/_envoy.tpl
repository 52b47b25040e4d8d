{{/* Spreads the requests of each connection over the pods that the supervisor says are ready. */}}
{{- define "naiad.envoyConfig" -}}
admin:
  address:
    socket_address: {address: 127.0.0.1, port_value: 9901}
static_resources:
  listeners:
    - name: grpc
      address:
        socket_address: {address: 0.0.0.0, port_value: 8001}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: grpc
                codec_type: HTTP2
                stream_idle_timeout: 0s
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: naiad
                      domains: ["*"]
                      routes:
                        - match: {prefix: /}
                          route:
                            cluster: naiad
                            # The client's deadline is the one that counts.
                            timeout: 0s
                            # Another pod, where one is going or gone; requests over 1 MB are for
                            # the client to send again.
                            retry_policy:
                              retry_on: connect-failure,refused-stream,reset,unavailable
                              num_retries: 3
                              retry_host_predicate:
                                - name: envoy.retry_host_predicates.previous_hosts
                                  typed_config:
                                    "@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
                              host_selection_retry_max_attempts: 5
    - name: status
      address:
        socket_address: {address: 0.0.0.0, port_value: 8003}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: status
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: status
                      domains: ["*"]
                      # Nothing else of the admin interface: it can also stop Envoy.
                      routes:
                        - match: {path: /ready}
                          route: {cluster: admin}
                        - match: {path: /stats/prometheus}
                          route: {cluster: admin}
  clusters:
    - name: naiad
      type: STRICT_DNS
      dns_refresh_rate: 2s
      connect_timeout: 2s
      lb_policy: LEAST_REQUEST
      # A pod that is gone from the name is gone, whatever its last health check said.
      ignore_health_on_host_removal: true
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options: {}
      circuit_breakers:
        thresholds:
          - {max_connections: 10000, max_pending_requests: 100000, max_requests: 100000, max_retries: 1000}
      health_checks:
        - timeout: 2s
          interval: 2s
          unhealthy_threshold: 1
          healthy_threshold: 1
          http_health_check: {path: /readyz}
      load_assignment:
        cluster_name: naiad
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address: {address: {{ .Release.Name }}-headless, port_value: 8001}
                  health_check_config: {port_value: 8003}
    - name: admin
      type: STATIC
      connect_timeout: 1s
      load_assignment:
        cluster_name: admin
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address: {address: 127.0.0.1, port_value: 9901}
{{- end }}
