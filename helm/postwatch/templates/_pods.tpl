{{/* Pods and what is in them. */}}

{{/* One probe of (dict "probe" $values "path" "/healthz" "port" "metrics" "web" $config.web). */}}
{{- define "postwatch.probe" -}}
{{- $tls := .web.tls | default dict }}
{{- if $tls.client_ca_file }}
tcpSocket: {port: {{ .port }}} # a client has to show a certificate, which a probe has not
{{- else }}
httpGet:
  path: {{ .path }}
  port: {{ .port }}
  scheme: {{ ternary "HTTPS" "HTTP" (not (empty $tls)) }}
{{- end }}
initialDelaySeconds: {{ .probe.initialDelaySeconds | default 0 }}
periodSeconds: {{ .probe.periodSeconds | default 10 }}
timeoutSeconds: {{ .probe.timeoutSeconds | default 5 }}
failureThreshold: {{ .probe.failureThreshold | default 3 }}
{{- end }}

{{/* The container of (dict "root" $ "name" "exporter" "port" "metrics"). */}}
{{- define "postwatch.container" -}}
{{- $root := .root }}
{{- $part := get .root.Values .name }}
{{- $text := include (printf "postwatch.%s.config" .name) .root }}
{{- include "postwatch.refuseSecrets" (dict "name" .name "text" $text) }}
{{- $config := fromYaml $text }}
{{- $kept := ternary $config.storage (dig "state_file" "" ($config.reputation | default dict)) (eq .name "alerter") | default "" }}
{{- if and (or (hasPrefix "sqlite" $kept) (hasPrefix "/" $kept)) (not (contains "/var/lib/postwatch/" $kept)) (not $part.extraVolumeMounts) }}
{{- fail (printf "%s.config: %s cannot be written, since the container is read-only; choose a file below /var/lib/postwatch/" .name $kept) }}
{{- end }}
name: {{ .name }}
image: {{ include "postwatch.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy | default "IfNotPresent" }}
command: ["postwatch-{{ .name }}"]
args: ["run", "--config", "/etc/postwatch/{{ .name }}/{{ .name }}.yml"]
{{- with $part.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: {{ .port }}
    containerPort: {{ include "postwatch.port" (dict "name" .name "config" $config) }}
    protocol: TCP
{{- if $part.livenessProbe.enabled }}
# It listens once its store is migrated, which may take its time: five minutes.
startupProbe:
  {{- include "postwatch.probe" (dict "probe" (dict "periodSeconds" 2 "failureThreshold" 150) "path" "/healthz" "port" .port "web" $config.web) | nindent 2 }}
livenessProbe:
  {{- include "postwatch.probe" (dict "probe" $part.livenessProbe "path" "/healthz" "port" .port "web" $config.web) | nindent 2 }}
{{- end }}
{{- if $part.readinessProbe.enabled }}
readinessProbe:
  {{- include "postwatch.probe" (dict "probe" $part.readinessProbe "path" "/readyz" "port" .port "web" $config.web) | nindent 2 }}
{{- end }}
{{- with $part.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: {{ .name }}-config
    mountPath: /etc/postwatch/{{ .name }}
    readOnly: true
{{- range include "postwatch.mentioned" (dict "root" .root "name" .name "text" $text) | fromJsonArray }}
  - name: secret-{{ . }}
    mountPath: /etc/postwatch/secrets/{{ . }}
    readOnly: true
{{- end }}
{{- if and (eq .name "alerter") (eq (include "postwatch.alerter.usesToken" .root) "true") }}
  - name: webhook
    mountPath: /etc/postwatch/webhook
    readOnly: true
{{- end }}
{{- if eq (include "postwatch.keeps" (dict "text" $text)) "true" }}
  - name: data
    mountPath: /var/lib/postwatch
{{- end }}
  - name: tmp
    mountPath: /tmp
{{- with $part.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Volumes of the pod of component (dict "root" $ "component" "exporter" "claimed" true), the claim being made elsewhere. */}}
{{- define "postwatch.volumes" -}}
{{- $root := .root }}
{{- $names := list }}
{{- $parts := list .component }}
{{- if and (eq .component "exporter") (eq (include "postwatch.alerter" .root) "sidecar") }}{{ $parts = list "exporter" "alerter" }}{{ end }}
{{- range $part := $parts }}
{{- $text := include (printf "postwatch.%s.config" $part) $root }}
{{- $names = concat $names (include "postwatch.mentioned" (dict "root" $root "name" $part "text" $text) | fromJsonArray) }}
- name: {{ $part }}-config
  configMap:
    name: {{ include "postwatch.fullname" $root }}-{{ $part }}
{{- end }}
{{- range $names | uniq | sortAlpha }}
- name: secret-{{ . }}
  secret:
    secretName: {{ (get $root.Values.secrets .).existingSecret | quote }}
    defaultMode: 0440
{{- end }}
{{- if and (has "alerter" $parts) (eq (include "postwatch.alerter.usesToken" .root) "true") }}
- name: webhook
  secret:
    secretName: {{ include "postwatch.webhookSecret" .root | quote }}
    defaultMode: 0440
{{- end }}
{{- if and (eq (include "postwatch.needsVolume" .) "true") (not .claimed) }}
- name: data
{{- if and .root.Values.persistence.enabled (or .root.Values.persistence.existingClaim (eq .component "exporter")) }}
  persistentVolumeClaim:
    claimName: {{ default (printf "%s-data" (include "postwatch.fullname" .root)) .root.Values.persistence.existingClaim | quote }}
{{- else }}
  emptyDir: {}
{{- end }}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- $more := list }}
{{- $taken := dict }}
{{- range $part := $parts }}
{{- range $volume := (get $root.Values $part).extraVolumes }}
{{- if not (hasKey $taken $volume.name) }}
{{- $more = append $more $volume }}
{{- else if ne (toJson $volume) (toJson (get $taken $volume.name)) }}
{{- fail (printf "%s.extraVolumes: the pod has another volume named %q; choose another name" $part $volume.name) }}
{{- end }}
{{- $_ := set $taken $volume.name $volume }}
{{- end }}
{{- end }}
{{- with $more }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Refuses what is of pods, of an alerter that has none of its own. */}}
{{- define "postwatch.refuseOfPods" -}}
{{- $values := .Values.alerter }}
{{- range list "annotations" "podAnnotations" "podLabels" "initContainers" "extraContainers" "nodeSelector" "affinity" "tolerations" "topologySpreadConstraints" "priorityClassName" }}
{{- if get $values . }}
{{- fail (printf "alerter.%s: a sidecar has no pod of its own; give exporter.%s, or alerter.mode: standalone" . .) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The pod template of component (dict "root" $ "component" "exporter"). */}}
{{- define "postwatch.pod" -}}
{{- $root := .root }}
{{- $part := get .root.Values .component }}
{{- $sidecar := and (eq .component "exporter") (eq (include "postwatch.alerter" .root) "sidecar") }}
metadata:
  labels:
    {{- include "postwatch.labels" (dict "root" .root "component" .component "more" $part.podLabels) | nindent 4 }}
  annotations:
    checksum/{{ .component }}: {{ include (printf "postwatch.%s.config" .component) .root | sha256sum }}
    {{- if $sidecar }}
    checksum/alerter: {{ include "postwatch.alerter.config" .root | sha256sum }}
    {{- end }}
    kubectl.kubernetes.io/default-container: {{ .component }}
    {{- with mergeOverwrite (dict) (.root.Values.commonAnnotations | default dict) ($part.podAnnotations | default dict) }}
    {{- toYaml (omit . (printf "checksum/%s" $.component) "checksum/alerter" "kubectl.kubernetes.io/default-container") | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "postwatch.serviceAccount" .root | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with concat (.root.Values.imagePullSecrets | default list) (dig "imagePullSecrets" list (.root.Values.global | default dict)) | uniq }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $part.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $part.terminationGracePeriodSeconds | default 15 }}
  {{- with $part.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{- include "postwatch.container" (dict "root" .root "name" .component "port" (ternary "metrics" "alerts" (eq .component "exporter"))) | nindent 6 }}
    {{- if $sidecar }}
    - {{- include "postwatch.container" (dict "root" .root "name" "alerter" "port" "alerts") | nindent 6 }}
    {{- end }}
    {{- with $part.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "postwatch.volumes" . | nindent 4 }}
  {{- with $part.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $part.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $part.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $part.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml $part.topologySpreadConstraints | nindent 4 }}
  {{- else if eq .component "alerter" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "postwatch.selector" . | nindent 10 }}
  {{- end }}
  {{- with $part.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
{{- end }}
