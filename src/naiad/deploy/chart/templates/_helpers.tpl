{{- define "naiad.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Values.image.tag | quote }}
{{ include "naiad.selector" . }}
{{- end }}

{{- define "naiad.selector" -}}
app.kubernetes.io/name: naiad
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "naiad.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{- define "naiad.claim" -}}
{{ .Values.repository.pvc.claim | default (printf "%s-models" .Release.Name) }}
{{- end }}

{{- define "naiad.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary .Release.Name "default" .Values.serviceAccount.create) }}
{{- end }}

{{/* Arguments of the image, whose entry point is `naiad`. Takes root, http, grpc, repository. */}}
{{- define "naiad.arguments" -}}
- serve
{{- range .root.Values.pipelines }}
- {{ . | quote }}
{{- end }}
{{- with .repository }}
- --model-repository={{ . }}
{{- end }}
- --host=0.0.0.0
- --metrics-host=0.0.0.0
- --health-host=0.0.0.0
- --http-port={{ .http }}
- --grpc-port={{ .grpc }}
- --instances={{ .root.Values.instances }}
- --exit-timeout={{ .root.Values.exitTimeout }}
{{- range $name, $value := .root.Values.settings }}
{{- /* YAML reads whole numbers as floats, which would be written as 1e+06. */}}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) }}
{{- $value = int64 $value }}
{{- end }}
- {{ printf "--%s=%v" (kebabcase $name) $value | quote }}
{{- end }}
{{- with .root.Values.ui }}
{{- if .enabled }}
- --ui
- --max-upload-mb={{ .maxUploadMb }}
{{- end }}
{{- end }}
{{- if .root.Values.gpus }}
- --device=cuda:0
{{- end }}
{{- with .root.Values.gate }}
{{- if .apiKeysSecret }}
- --api-keys=/etc/naiad/keys/api-keys.json
{{- end }}
{{- with .jwt }}
{{- if .issuer }}
- --jwt-issuer={{ .issuer }}
- --jwt-jwks={{ .jwks }}
{{- with .audience }}
- --jwt-audience={{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- if .tlsSecret }}
- --tls-cert=/etc/naiad/tls/tls.crt
- --tls-key=/etc/naiad/tls/tls.key
{{- end }}
# Without credentials or TLS, the NetworkPolicy restricts clients.
{{- if not (and .tlsSecret (or .apiKeysSecret .jwt.issuer)) }}
- --insecure
{{- end }}
{{- end }}
{{- range .root.Values.arguments }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- define "naiad.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "naiad.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "naiad.resources" -}}
{{- $limits := .Values.resources.limits | default dict }}
{{- if .Values.gpus }}
{{- $limits = merge (dict "nvidia.com/gpu" .Values.gpus) $limits }}
{{- end }}
{{- toYaml (merge (dict "limits" $limits) .Values.resources) }}
{{- end }}

{{/* Environment, mounts and probes, for a Deployment and for KServe. */}}
{{- define "naiad.container" -}}
env:
  - {name: HOME, value: /tmp}
  - {name: NAIAD_CACHE, value: /cache}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
# Both ask Naiad's supervisor: Triton itself stays ready when a model's process is dead.
readinessProbe:
  httpGet: {path: /readyz, port: 8003}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 1
# Succeeds while models load, so no startup probe is needed; fails if the supervisor gave up.
livenessProbe:
  httpGet: {path: /livez, port: 8003}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
# Requests still arrive until all proxies know that the pod is ending.
lifecycle:
  preStop:
    exec: {command: [sleep, "5"]}
resources:
  {{- include "naiad.resources" . | nindent 2 }}
securityContext:
  {{- include "naiad.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: cache, mountPath: /cache}
  - {name: shm, mountPath: /dev/shm}
  {{- with .Values.gate }}
  {{- if .apiKeysSecret }}
  - {name: keys, mountPath: /etc/naiad/keys, readOnly: true}
  {{- end }}
  {{- if .tlsSecret }}
  - {name: tls, mountPath: /etc/naiad/tls, readOnly: true}
  {{- end }}
  {{- end }}
{{- end }}

{{- define "naiad.volumes" -}}
- name: tmp
  emptyDir: {}
- name: cache
  emptyDir: {}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ .Values.sharedMemory }}}
{{- with .Values.gate }}
{{- if .apiKeysSecret }}
- name: keys
  secret: {secretName: {{ .apiKeysSecret }}, defaultMode: 0440}
{{- end }}
{{- if .tlsSecret }}
- name: tls
  secret: {secretName: {{ .tlsSecret }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end }}

{{/* Exit timeout, preStop sleep before it, and some seconds for Triton after it. */}}
{{- define "naiad.grace" -}}
{{ add .Values.exitTimeout 15 }}
{{- end }}

{{- define "naiad.metricSelector" -}}
{{ .Values.autoscaling.selector | default (printf "namespace=\"%s\",service=\"%s\"" .Release.Namespace .Release.Name) }}
{{- end }}

{{/* Milliseconds that 90% of requests stay below in Naiad's queue, which Triton's own metrics lack. */}}
{{- define "naiad.queueQuery" -}}
{{- $labels := include "naiad.metricSelector" . }}
{{- $window := .Values.autoscaling.window -}}
(1000 * histogram_quantile(0.9, sum by (le)(rate(naiad_stage_seconds_bucket{stage="queue",{{ $labels }}}[{{ $window }}]))) >= 0 or vector(0))
{{- end }}

{{/* Scale up fast and down slowly: models take long to load. */}}
{{- define "naiad.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies: [{type: Percent, value: 100, periodSeconds: 30}]
scaleDown:
  stabilizationWindowSeconds: 300
  policies: [{type: Pods, value: 1, periodSeconds: 60}]
{{- end }}

{{/* The port in the URL of the S3 endpoint, or its scheme's. */}}
{{- define "naiad.endpointPort" -}}
{{- $url := urlParse .Values.repository.s3.endpoint }}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end }}
