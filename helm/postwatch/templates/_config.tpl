{{/* Configuration files, and what they ask of a pod. */}}

{{/* The exporter's, as YAML. */}}
{{- define "postwatch.exporter.config" -}}
{{- $config := mergeOverwrite (dict "web" (dict "listen" ":9797")) (deepCopy .Values.exporter.config) }}
{{- toYaml $config }}
{{- end }}

{{/* The alerter's. Off loopback it lets in only who shows a token. */}}
{{- define "postwatch.alerter.config" -}}
{{- $config := mergeOverwrite (dict "web" (dict "listen" ":9798")) (deepCopy .Values.alerter.config) }}
{{- if eq (include "postwatch.alerter.usesToken" .) "true" }}
{{- $_ := set $config.web "bearer_token_file" (printf "/etc/postwatch/webhook/%s" .Values.alerter.webhookToken.key) }}
{{- end }}
{{- if not (or $config.storage $config.storage_file) }}
{{- $_ := set $config "storage" "sqlite:////var/lib/postwatch/alerter.db" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* "true" if the configuration itself names no proof, so that the chart's token is one. */}}
{{- define "postwatch.alerter.usesToken" -}}
{{- $web := .Values.alerter.config.web | default dict }}
{{- $tls := $web.tls | default dict }}
{{- not (or $web.bearer_token $web.bearer_token_file $web.basic_auth $tls.client_ca_file) }}
{{- end }}

{{/* "sqlite" or "postgresql". */}}
{{- define "postwatch.alerter.storage" -}}
{{- $config := include "postwatch.alerter.config" . | fromYaml }}
{{- ternary "sqlite" "postgresql" (hasPrefix "sqlite" ($config.storage | default "")) }}
{{- end }}

{{- define "postwatch.alerter.replicas" -}}
{{- $sqlite := eq (include "postwatch.alerter.storage" .) "sqlite" }}
{{- $replicas := .Values.alerter.replicas | default (ternary 1 2 $sqlite) | int }}
{{- if and $sqlite (gt $replicas 1) }}
{{- fail (printf "alerter.replicas: %d need PostgreSQL, since SQLite is a file of one; give alerter.config.storage_file with a URL such as postgresql+psycopg://user:password@host/database, or ask for 1" $replicas) }}
{{- end }}
{{- $replicas }}
{{- end }}

{{/* The port of (dict "name" "exporter" "config" $config). */}}
{{- define "postwatch.port" -}}
{{- $listen := .config.web.listen }}
{{- if contains "${" $listen }}
{{- fail (printf "%s.config.web.listen: %q holds a variable; here the port has to stand itself, e.g. :9797" .name $listen) }}
{{- end }}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\]:)" $listen }}
{{- fail (printf "%s.config.web.listen: %q is reached only inside its pod; write e.g. :9797" .name $listen) }}
{{- end }}
{{- $port := regexFind "[0-9]+$" $listen | atoi }}
{{- if or (lt $port 1) (gt $port 65535) }}
{{- fail (printf "%s.config.web.listen: %q names no port; write e.g. :9797" .name $listen) }}
{{- end }}
{{- $port }}
{{- end }}

{{/* Refuses passwords in (dict "name" "exporter" "text" $text), for it becomes a ConfigMap. */}}
{{- define "postwatch.refuseSecrets" -}}
{{- $found := regexMatch "(?i)[a-z0-9+.-]+://[^\\s/:@\"'{}]*:[^\\s@\"'/{}][^\\s@\"'/]*@" .text }}
{{- $assigned := regexMatch "(?i)(\\s|[?&'\"])(pass(word|wd|phrase)?|pwd|secret|token|api[_-]?key|signature)\\s*=\\s*[^\\s&$]" .text }}
{{- if or $found $assigned }}
{{- fail (printf "%s.config: a password stands in it, and would stand in a ConfigMap; put it into a Secret, name that under secrets, and give it as NAME_file: /etc/postwatch/secrets/..." .name) }}
{{- end }}
{{- end }}

{{/* Names below `secrets` that (dict "root" $ "name" "exporter" "text" $text) mentions, as a JSON list. */}}
{{- define "postwatch.mentioned" -}}
{{- $names := list }}
{{- range regexFindAll "/etc/postwatch/secrets/[^/\\s\"']+" .text -1 }}
{{- $names = append $names (trimPrefix "/etc/postwatch/secrets/" .) }}
{{- end }}
{{- $names = $names | uniq | sortAlpha }}
{{- $root := .root }}{{- $part := .name }}
{{- range $names }}
{{- $given := get ($root.Values.secrets | default dict) . }}
{{- if not (and $given (kindIs "map" $given) $given.existingSecret) }}
{{- fail (printf "%s.config: /etc/postwatch/secrets/%s is named, but not given; say which Secret it is by secrets.%s.existingSecret" $part . .) }}
{{- end }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{/* "true" if (dict "text" $text) keeps something in the volume. */}}
{{- define "postwatch.keeps" -}}
{{- contains "/var/lib/postwatch/" .text }}
{{- end }}

{{/* "true" if the pod of component (dict "root" $ "component" "exporter") needs the volume. */}}
{{- define "postwatch.needsVolume" -}}
{{- $text := "" }}
{{- if eq .component "exporter" }}{{ $text = include "postwatch.exporter.config" .root }}{{ end }}
{{- if and (include "postwatch.alerter" .root) (eq .component (include "postwatch.alerterComponent" .root)) }}
{{- $text = printf "%s\n%s" $text (include "postwatch.alerter.config" .root) }}
{{- end }}
{{- include "postwatch.keeps" (dict "text" $text) }}
{{- end }}
