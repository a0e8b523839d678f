{{/* Names, labels and the image. */}}

{{- define "postwatch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 32 characters, so that every suffix fits into 63; what is cut is told apart by a digest. */}}
{{- define "postwatch.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if not $name }}
{{- $base := default .Chart.Name .Values.nameOverride }}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name $base) (contains $base .Release.Name) }}
{{- end }}
{{- $name = replace "." "-" $name }}
{{- if regexMatch "^[0-9]" $name }}{{ $name = printf "postwatch-%s" $name }}{{ end }}
{{- if gt (len $name) 32 }}
{{- $name = printf "%s-%s" ($name | trunc 23 | regexFind "^.*[a-z0-9]") ($name | sha256sum | trunc 8) }}
{{- end }}
{{- $name }}
{{- end }}

{{- define "postwatch.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* Labels that select: (dict "root" $ "component" "exporter"). */}}
{{- define "postwatch.selector" -}}
app.kubernetes.io/name: {{ include "postwatch.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* All labels; "more" gives way to ours. */}}
{{- define "postwatch.labels" -}}
{{- $ours := include "postwatch.selector" . | fromYaml }}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- $_ := set $ours "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_" | trunc 63) }}
{{- $_ := set $ours "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $_ := set $ours "app.kubernetes.io/part-of" "postwatch" }}
{{- toYaml (mergeOverwrite (dict) (.root.Values.commonLabels | default dict) (.more | default dict) $ours) }}
{{- end }}

{{/* metadata of (dict "root" $ "component" "exporter" "suffix" "exporter"); also "namespace", "labels", "annotations". */}}
{{- define "postwatch.metadata" -}}
{{- $name := include "postwatch.fullname" .root }}
name: {{ ternary (printf "%s-%s" $name .suffix) $name (not (empty .suffix)) | trunc 63 | trimSuffix "-" | quote }}
namespace: {{ .namespace | default (include "postwatch.namespace" .root) | quote }}
labels:
  {{- include "postwatch.labels" (dict "root" .root "component" .component "more" .labels) | nindent 2 }}
{{- with mergeOverwrite (dict) (.root.Values.commonAnnotations | default dict) (.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "postwatch.image" -}}
{{- $image := .Values.image }}
{{- $registry := default $image.registry (dig "imageRegistry" "" (.Values.global | default dict)) }}
{{- $name := $image.repository }}
{{- with $registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end }}
{{- if $image.digest }}{{ $name }}@{{ $image.digest }}{{ else }}{{ $name }}:{{ default .Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{- define "postwatch.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "postwatch.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "postwatch.webhookSecret" -}}
{{- default (printf "%s-webhook" (include "postwatch.fullname" .)) .Values.alerter.webhookToken.existingSecret }}
{{- end }}

{{/* Where the alerter runs: "", "sidecar" or "standalone". */}}
{{- define "postwatch.alerter" -}}
{{- if and .Values.alerter.enabled .Values.alerter.config.receivers }}
{{- ternary "sidecar" "standalone" (and .Values.exporter.enabled (eq .Values.alerter.mode "sidecar")) }}
{{- end }}
{{- end }}

{{/* The component of whose pods the alerter is a part. */}}
{{- define "postwatch.alerterComponent" -}}
{{- ternary "exporter" "alerter" (eq (include "postwatch.alerter" .) "sidecar") }}
{{- end }}
