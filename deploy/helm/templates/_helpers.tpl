{{- define "airmirror.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "airmirror.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "airmirror.labels" -}}
{{ include "airmirror.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* How a probe asks. Where clients need a certificate, which the kubelet has not, the binary asks itself. */}}
{{- define "airmirror.probe" -}}
{{- $tls := get .root.Values.config "tls" | default dict -}}
{{- if get $tls "requireClientCert" -}}
exec:
  command: [mirror, health]
{{- else -}}
httpGet:
  path: {{ .path }}
  port: registry
  scheme: {{ or .root.Values.tls.secretName (get $tls "certFile") | empty | not | ternary "HTTPS" "HTTP" }}
{{- end -}}
{{- end -}}
