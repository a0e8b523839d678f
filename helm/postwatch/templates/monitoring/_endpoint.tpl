{{/* What a ServiceMonitor or PodMonitor says of (dict "root" $ "monitor" $values "name" "alerter"). */}}
{{- define "postwatch.endpoint" -}}
{{- $config := include (printf "postwatch.%s.config" .name) .root | fromYaml }}
{{- $own := get .monitor .name | default dict }}
port: {{ ternary "metrics" "alerts" (eq .name "exporter") }}
path: /metrics
scheme: {{ ternary "https" "http" (not (empty $config.web.tls)) }}
interval: {{ .monitor.interval | default "5s" }}
scrapeTimeout: {{ .monitor.scrapeTimeout | default "4s" }}
{{- with $own.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $own.authorization }}
authorization:
  {{- toYaml $own.authorization | nindent 2 }}
{{- else if $own.basicAuth }}
basicAuth:
  {{- toYaml $own.basicAuth | nindent 2 }}
{{- else if and (eq .name "alerter") (eq (include "postwatch.alerter.usesToken" .root) "true") }}
authorization:
  credentials:
    name: {{ include "postwatch.webhookSecret" .root | quote }}
    key: {{ .root.Values.alerter.webhookToken.key | quote }}
{{- end }}
relabelings:
  # Our rules know the job by this name.
  - targetLabel: job
    replacement: postwatch-{{ .name }}
  {{- with .monitor.relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The daemons that run, as a JSON list. */}}
{{- define "postwatch.running" -}}
{{- $names := list }}
{{- if .Values.exporter.enabled }}{{ $names = append $names "exporter" }}{{ end }}
{{- if include "postwatch.alerter" . }}{{ $names = append $names "alerter" }}{{ end }}
{{- toJson $names }}
{{- end }}
