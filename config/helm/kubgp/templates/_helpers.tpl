{{/* All templates below take a dict: root (the chart's context), component, and of that what it says. */}}

{{- define "kubgp.labels" -}}
app.kubernetes.io/name: kubgp
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "kubgp.metadata" -}}
name: kubgp-{{ .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "kubgp.labels" . | nindent 2 }}
{{- end }}

{{/* The configuration file: what the role needs, and over it what values say. */}}
{{- define "kubgp.config" -}}
{{- $values := index .root.Values .component -}}
{{- $kubernetes := dict "enabled" true "roles" (list .component) "namespace" .root.Release.Namespace -}}
{{- if has .component (list "reflector" "node") -}}
{{- $_ := set $kubernetes "namespace" .root.Values.calicoNamespace -}}
{{- end -}}
{{- if and .root.Values.loadBalancerClass (has .component (list "vip" "allocator")) -}}
{{- $_ := set $kubernetes "loadBalancerClass" .root.Values.loadBalancerClass -}}
{{- end -}}
{{- $compat := ternary .root.Values.prometheus.compat "none" (has .component (list "vip" "allocator")) -}}
{{- $metrics := dict "listen" (printf "0.0.0.0:%d" (int $values.metricsPort)) "compat" $compat -}}
{{- $config := dict "apiVersion" "kubgp.io/v1" "kubernetes" $kubernetes "metrics" $metrics "log" (dict "level" .root.Values.logLevel) -}}
{{- if has .component (list "vip" "allocator") -}}
{{- $_ := set $config "listen" list -}}
{{- end -}}
{{- if has .component (list "vip" "node") -}}
{{- $_ := set $config "drain" (dict "gracePeriod" "20s") -}}
{{- end -}}
{{- toYaml (mergeOverwrite $config (deepCopy $values.config)) -}}
{{- end }}

{{- define "kubgp.configmap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "kubgp.metadata" . | nindent 2 }}
data:
  kubgp.yaml: |
    {{- include "kubgp.config" . | nindent 4 }}
{{- end }}

{{/* Also: hostNetwork, capabilities, grace (seconds to stop in). */}}
{{- define "kubgp.pod" -}}
{{- $values := index .root.Values .component -}}
{{- $port := ternary "monitoring" "http" (has .component (list "vip" "allocator")) -}}
metadata:
  labels:
    {{- include "kubgp.labels" . | nindent 4 }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "kubgp.config" . | sha256sum }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: kubgp-{{ .component }}
  {{- if .hostNetwork }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  priorityClassName: {{ $values.priorityClassName }}
  terminationGracePeriodSeconds: {{ .grace }}
  nodeSelector:
    kubernetes.io/os: linux
    {{- with $values.nodeSelector }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity | default .affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- if .capabilities }}
    runAsUser: 0
    {{- else }}
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    {{- end }}
    seccompProfile: { type: RuntimeDefault }
  containers:
  - name: kubgp
    image: {{ printf "%s:%s" .root.Values.image.repository (.root.Values.image.tag | default .root.Chart.AppVersion) }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: ["--config", "/etc/kubgp/kubgp.yaml"]
    env:
    - name: NODE_NAME
      valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
    ports:
    - { name: {{ $port }}, containerPort: {{ $values.metricsPort }} }
    livenessProbe:
      httpGet: { path: /livez, port: {{ $port }}{{ if .hostNetwork }}, host: 127.0.0.1{{ end }} }
      periodSeconds: 10
      failureThreshold: 3
    readinessProbe:
      httpGet: { path: /readyz, port: {{ $port }}{{ if .hostNetwork }}, host: 127.0.0.1{{ end }} }
      periodSeconds: 5
    resources:
      {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
        {{- with .capabilities }}
        add:
          {{- toYaml . | nindent 10 }}
        {{- end }}
    volumeMounts:
    - { name: config, mountPath: /etc/kubgp, readOnly: true }
    - { name: run, mountPath: /run/kubgp }
  volumes:
  - name: config
    configMap: { name: kubgp-{{ .component }} }
  - name: run
    {{- if .capabilities }}
    hostPath: { path: /run/kubgp, type: DirectoryOrCreate }
    {{- else }}
    emptyDir: {}
    {{- end }}
{{- end }}

{{- define "kubgp.daemonset" -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  {{- include "kubgp.metadata" . | nindent 2 }}
spec:
  updateStrategy:
    rollingUpdate: { maxUnavailable: 1 }
  selector:
    matchLabels:
      {{- include "kubgp.labels" . | nindent 6 }}
  template:
    {{- include "kubgp.pod" . | nindent 4 }}
{{- end }}

{{/* An account, and rights: rules for the whole cluster, and for one namespace. */}}
{{- define "kubgp.rbac" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "kubgp.metadata" . | nindent 2 }}
{{- if .root.Values.rbac.create }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: kubgp-{{ .component }}
  labels:
    {{- include "kubgp.labels" . | nindent 4 }}
rules:
{{ toYaml .cluster }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: kubgp-{{ .component }}
  labels:
    {{- include "kubgp.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: kubgp-{{ .component }}
subjects:
- kind: ServiceAccount
  name: kubgp-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: kubgp-{{ .component }}
  namespace: {{ .namespace }}
  labels:
    {{- include "kubgp.labels" . | nindent 4 }}
rules:
{{ toYaml .namespaced }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: kubgp-{{ .component }}
  namespace: {{ .namespace }}
  labels:
    {{- include "kubgp.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: kubgp-{{ .component }}
subjects:
- kind: ServiceAccount
  name: kubgp-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
{{- end }}
{{- end }}
