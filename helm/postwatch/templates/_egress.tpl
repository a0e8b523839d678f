{{/* TCP ports that a configuration connects to. A URL in a Secret cannot be read here: the usual port is taken. */}}

{{/* The port of (dict "url" "https://host/path" "usual" 443). */}}
{{- define "postwatch.urlPort" -}}
{{- $authority := regexFind "://[^/?#]*" .url }}
{{- $port := regexFind ":[0-9]+$" $authority | trimPrefix ":" }}
{{- $schemes := dict "http" "80" "https" "443" "postgresql" "5432" "postgres" "5432" "redis" "6379" "rediss" "6379" }}
{{- $scheme := regexFind "^[a-z0-9]+" .url }}
{{- if contains "+sentinel" .url }}
{{- $port | default "26379" }}
{{- else }}
{{- $port | default (get $schemes $scheme) | default (toString .usual) }}
{{- end }}
{{- end }}

{{/* All ports of a map's key, given itself or as a file: (dict "in" $map "key" "url" "usual" 5432), as a JSON list. */}}
{{- define "postwatch.keyPorts" -}}
{{- $ports := list }}
{{- $in := .in | default dict }}
{{- $usual := .usual }}
{{- with get $in .key }}
{{- /* Several hosts may stand in one URL, each with its port. */}}
{{- range regexFindAll ":[0-9]+[,/?]" (regexFind "://[^?#]*" . | printf "%s/") -1 }}{{ $ports = append $ports (regexFind "[0-9]+" .) }}{{ end }}
{{- $ports = append $ports (include "postwatch.urlPort" (dict "url" . "usual" $usual)) }}
{{- if contains "+sentinel" . }}{{ $ports = append $ports "6379" }}{{ end }}
{{- end }}
{{- if get $in (printf "%s_file" .key) }}{{ $ports = append $ports (toString .usual) }}{{ end }}
{{- toJson $ports }}
{{- end }}

{{- define "postwatch.exporter.ports" -}}
{{- $config := include "postwatch.exporter.config" . | fromYaml }}
{{- $ports := list }}
{{- range $config.queues }}
{{- $ports = concat $ports (include "postwatch.keyPorts" (dict "in" . "key" "postgres" "usual" 5432) | fromJsonArray) }}
{{- $ports = concat $ports (include "postwatch.keyPorts" (dict "in" . "key" "redis" "usual" 6379) | fromJsonArray) }}
{{- end }}
{{- range $config.postgres }}
{{- $ports = concat $ports (include "postwatch.keyPorts" (dict "in" . "key" "url" "usual" 5432) | fromJsonArray) }}
{{- $ports = concat $ports (include "postwatch.keyPorts" (dict "in" . "key" "pgbouncer" "usual" 6432) | fromJsonArray) }}
{{- end }}
{{- range $config.redis }}
{{- $ports = concat $ports (include "postwatch.keyPorts" (dict "in" . "key" "url" "usual" 6379) | fromJsonArray) }}
{{- end }}
{{- range $config.services }}
{{- $usual := get (dict "postgres" 5432 "redis" 6379) .kind | default 443 }}
{{- $ports = concat $ports (include "postwatch.keyPorts" (dict "in" . "key" "url" "usual" $usual) | fromJsonArray) }}
{{- with .address }}{{ $ports = append $ports (regexFind "[0-9]+$" .) }}{{ end }}
{{- end }}
{{- with $config.reputation }}
{{- $ports = concat $ports (include "postwatch.keyPorts" (dict "in" .sent_today "key" "postgres" "usual" 5432) | fromJsonArray) }}
{{- end }}
{{- toJson $ports }}
{{- end }}

{{- define "postwatch.alerter.ports" -}}
{{- $config := include "postwatch.alerter.config" . | fromYaml }}
{{- $ports := include "postwatch.keyPorts" (dict "in" $config "key" "storage" "usual" 5432) | fromJsonArray }}
{{- if hasPrefix "sqlite" ($config.storage | default "") }}{{ $ports = list }}{{ end }}
{{- range $config.receivers }}
{{- $hook := eq .kind "webhook" }}
{{- $ports = concat $ports (include "postwatch.keyPorts" (dict "in" . "key" "url" "usual" 443) | fromJsonArray) }}
{{- $ports = concat $ports (include "postwatch.keyPorts" (dict "in" . "key" "webhook_url" "usual" 443) | fromJsonArray) }}
{{- if .smarthost }}{{ $ports = append $ports (regexFind "[0-9]+$" .smarthost) }}{{ else if not (or .url .webhook_url) }}{{ $ports = append $ports "443" }}{{ end }}
{{- end }}
{{- with $config.reconcile }}
{{- range .alertmanagers }}{{ $ports = append $ports (include "postwatch.urlPort" (dict "url" . "usual" 9093)) }}{{ end }}
{{- end }}
{{- toJson $ports }}
{{- end }}

{{/* Ports of name servers that are not 53, of the exporter's resolvers, as a JSON list. */}}
{{- define "postwatch.resolverPorts" -}}
{{- $ports := list "53" }}
{{- with (include "postwatch.exporter.config" . | fromYaml).reputation }}
{{- range .resolvers }}
{{- if regexMatch "^[^:]+:[0-9]+$|\\]:[0-9]+$" . }}{{ $ports = append $ports (regexFind "[0-9]+$" .) }}{{ end }}
{{- end }}
{{- end }}
{{- toJson ($ports | uniq) }}
{{- end }}
