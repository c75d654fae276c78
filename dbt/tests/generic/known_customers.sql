{# Fails for every user_id that silver.users does not hold. #}
{% test known_customers(model, only_recomputed_hours=false) %}

select distinct user_id
from {{ model }}
where {{ in_replaced_hours() if only_recomputed_hours else 'true' }}
    and user_id not in (select id from {{ source('silver', 'users') }})

{% endtest %}
